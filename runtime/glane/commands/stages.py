"""The arguments that say how to search, shared by `index`, `search` and `evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from glane.analysis.analyzer import Kind
from glane.maxsim.index import TokenStorage
from glane.maxsim.quantization import KINDS
from glane.retrievers.colbert import ColBERT
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.registry import LEXICAL, NEURAL, find, load_reranker, names
from glane.retrievers.sparse_embed import SparseEmbed
from glane.retrievers.splade import Splade
from glane.search import Search
from glane.vectors import TermEmbeddings


def add_stage_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Declare retriever, reranker and the analysis of text."""
    group = parser.add_argument_group("stages")
    group.add_argument("--retriever", choices=names(), required=required)
    group.add_argument("--model", metavar="MODEL", help="exported model of a neural retriever")
    group.add_argument("--reranker", metavar="MODEL", help="exported model that reranks")
    group.add_argument("--token-vectors", choices=KINDS, help="how ColBERT's are stored")
    group.add_argument("--pool", type=int, metavar="N", help="tokens for one stored vector")
    group.add_argument("--analyzer", choices=get_args(Kind))
    group.add_argument("--language", metavar="NAME", help="stemmer and stop words, or 'none'")
    group.add_argument("--ngrams", metavar="LOW,HIGH", help="lengths for char_wb, default 3,5")


def add_fusion_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how candidates are reranked and fused."""
    group = parser.add_argument_group("ranking")
    group.add_argument("--candidates", type=int, default=100, metavar="N", help="default 100")
    group.add_argument("--fuse", choices=["none", "rrf", "relative"], default="none")
    group.add_argument(
        "--fuse-weight", type=float, default=0.5, metavar="X", help="the retriever's share, 0 to 1"
    )


def build_search(
    arguments: argparse.Namespace, key: str, on: list[str], keep_documents: bool = False
) -> Search:
    """Make the empty search that the arguments describe.

    Raises:
        ValueError: If a model is given to a lexical retriever, or none to a neural one, or it is
            said how token vectors are stored where none are.
        CheckpointError: If a model cannot be loaded.
    """
    reranker: Reranker | None = None
    if arguments.reranker:
        reranker = load_reranker(arguments.reranker, arguments.threads)
    retriever = _retriever(arguments)
    _store_token_vectors(retriever, reranker, arguments)
    return Search(retriever, reranker=reranker, key=key, on=on, keep_documents=keep_documents)


def stage_names(search: Search) -> dict[str, str | None]:
    """Return the names of both stages, for reports."""
    reranker = search.reranker
    return {
        "retriever": type(search.retriever).__name__,
        "reranker": type(reranker).__name__ if reranker is not None else None,
    }


def active_terms(retriever: Retriever, queries: Sequence[str]) -> dict[str, float] | None:
    """Return how many terms a query and a stored document have on average, if a model gave them."""
    if not isinstance(retriever, Splade | SparseEmbed):
        return None
    vectors = retriever.encode_queries(queries)
    terms = vectors.terms if isinstance(vectors, TermEmbeddings) else vectors
    return {
        "query": round(len(terms.indices) / max(1, len(terms)), 2),
        "document": round(retriever.index.n_terms() / max(1, len(retriever)), 2),
    }


def _retriever(arguments: argparse.Namespace) -> Retriever:
    name, analysis = arguments.retriever, _analysis(arguments)
    if name not in LEXICAL and analysis:
        raise ValueError(f"--retriever {name} takes no --analyzer, --language or --ngrams")
    if name in NEURAL:
        if not arguments.model:
            raise ValueError(f"--retriever {name} needs --model")
        return NEURAL[name].load(arguments.model, threads=arguments.threads)
    if name not in LEXICAL:
        return find(name).from_record({"kind": name}, arguments.model, arguments.threads)
    if arguments.model:
        raise ValueError(f"--retriever {name} takes no --model; did you mean --reranker?")
    default = LEXICAL[name]().analyzer
    return LEXICAL[name](analyzer=replace(default, **analysis))


def _store_token_vectors(
    retriever: Retriever, reranker: Reranker | None, arguments: argparse.Namespace
) -> None:
    """Store token vectors as the arguments say; with outlines where ColBERT is to retrieve."""
    given = {"kind": arguments.token_vectors, "pool": arguments.pool}
    settings = {name: value for name, value in given.items() if value is not None}
    stages = [stage for stage in (retriever, reranker) if isinstance(stage, ColBERT)]
    if settings and not stages:
        raise ValueError("--token-vectors and --pool need a ColBERT model")
    for stage in stages:
        stage.store_as(TokenStorage(outlines=stage is retriever, **settings))


def _analysis(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the analyzer that are given."""
    settings: dict[str, Any] = {}
    if arguments.analyzer:
        settings["kind"] = arguments.analyzer
    if arguments.language:
        settings["language"] = arguments.language
    if arguments.ngrams:
        settings["ngrams"] = _ngrams(arguments.ngrams)
    return settings


def _ngrams(text: str) -> tuple[int, int]:
    low, comma, high = text.partition(",")
    if not (comma and low.isdigit() and high.isdigit()):
        raise ValueError(f"--ngrams must be two numbers such as 3,5, got {text!r}")
    return int(low), int(high)
