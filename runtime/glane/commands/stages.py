"""The arguments that say how to search, shared by `index`, `search` and `evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, get_args, runtime_checkable

from glane.analysis.analyzer import LANGUAGES, Analyzer, Kind
from glane.commands.usage import Bounded, UsageError, as_usage
from glane.maxsim.index import TokenStorage
from glane.maxsim.quantization import KINDS
from glane.model.checkpoint import Checkpoint
from glane.model.progress import telling
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.passages import plain
from glane.retrievers.registry import LEXICAL, NEURAL, find, load_reranker, names
from glane.retrievers.splade import Tally
from glane.search import Search
from glane.store.manifest import read_manifest

ANALYSIS = {"analyzer": "kind", "language": "language", "ngrams": "ngrams"}
"""Options that say how words are made, and the analyzer's settings."""

STORAGE = {"token_vectors": "kind", "pool": "pool"}
"""Options that say how token vectors are stored, and the settings of `TokenStorage`."""

WITHOUT = "leave it out, or pass --reranker MODEL"
"""What to do with an option that is of models, where there is none."""


@runtime_checkable
class _StoringTokens(Protocol):
    """A stage that can be told how to store token vectors."""

    def store_as(self, storage: TokenStorage) -> None: ...


@runtime_checkable
class _WeighingTerms(Protocol):
    """A stage whose model gives terms to a text."""

    asked: Tally

    def n_active_terms(self) -> int: ...


def add_stage_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Declare retriever, reranker and the analysis of text."""
    group = parser.add_argument_group("stages")
    group.add_argument(
        "--retriever", choices=names(), required=required, help="what finds the documents"
    )
    group.add_argument(
        "--model", metavar="MODEL", help="folder of a neural retriever's exported model"
    )
    group.add_argument(
        "--reranker",
        metavar="MODEL",
        help="folder of an exported model that reorders what is found",
    )
    group.add_argument(
        "--token-vectors",
        choices=KINDS,
        help=f"how exactly ColBERT's vectors are stored; default {TokenStorage().kind}",
    )
    group.add_argument(
        "--pool",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="tokens of a document that share one of ColBERT's stored vectors; default 1",
    )
    group.add_argument(
        "--no-passages",
        dest="passages",
        action="store_const",
        const=False,
        help="cut a document that is longer than a model reads; by default it is parted, and "
        "scored by its best passage",
    )
    group.add_argument(
        "--analyzer",
        choices=get_args(Kind),
        help="what terms are made of; default words for bm25, char for tfidf",
    )
    group.add_argument(
        "--language",
        metavar="NAME",
        help=(
            "stemmer and stop words: auto (told of each text by itself), none, a code such as de, "
            f"or one of {', '.join(LANGUAGES[2:])}; default english"
        ),
    )
    group.add_argument(
        "--ngrams", metavar="LOW,HIGH", help="lengths for char and char_wb; default 3,5"
    )


def build_search(
    arguments: argparse.Namespace,
    key: str,
    on: list[str],
    **stored: Any,  # noqa: ANN401 (what `Search` takes)
) -> Search:
    """Make the empty search that the arguments describe; they are checked before a model is loaded.

    Raises:
        UsageError: If options do not go together: a model for a lexical retriever, or none for a
            neural one, or it is said how token vectors are stored where none are.
        CheckpointError: If a model cannot be loaded.
    """
    check_stages(arguments)
    reranker: Reranker | None = None
    with telling("loading the model"):
        if arguments.reranker:
            reranker = load_reranker(arguments.reranker, arguments.threads)
        retriever = _retriever(arguments)
    _store_token_vectors(retriever, reranker, arguments)
    return Search(
        retriever,
        reranker=reranker,
        key=key,
        on=on,
        passages=arguments.passages is not False,
        **stored,
    )


def check_stages(arguments: argparse.Namespace) -> None:
    """Refuse options of stages that do not go together; nothing is loaded.

    Raises:
        UsageError: If they do not.
        CheckpointError: If the reranker's model says nothing of its kind.
    """
    name = arguments.retriever
    if name not in LEXICAL and _given(arguments, ANALYSIS):
        raise UsageError(f"--retriever {name} takes no --analyzer, --language or --ngrams")
    if name in NEURAL and not arguments.model:
        raise UsageError(f"--retriever {name} needs --model")
    if name in LEXICAL and arguments.model:
        raise UsageError(f"--retriever {name} takes no --model; did you mean --reranker?")
    if name in LEXICAL:
        _check_analysis(arguments)
    kinds = {name} | ({Checkpoint.read(arguments.reranker).kind} if arguments.reranker else set())
    if arguments.passages is False and kinds <= {*LEXICAL}:
        raise UsageError(
            f"--no-passages needs a model: words are read whatever the length; {WITHOUT}"
        )
    if _given(arguments, STORAGE) and kinds <= {*LEXICAL, "splade", "sparse-embed"}:
        raise UsageError(f"--token-vectors and --pool need a ColBERT model; {WITHOUT}")
    if arguments.fuse not in (None, "none") and not arguments.reranker:
        raise UsageError(f"--fuse {arguments.fuse} needs a reranker; {WITHOUT}")


def _check_analysis(arguments: argparse.Namespace) -> None:
    kind = _analyzer(arguments).kind
    if arguments.ngrams is not None and kind not in ("char", "char_wb"):
        raise UsageError("--ngrams needs --analyzer char or char_wb")
    if arguments.language is not None and kind != "words":
        raise UsageError("--language needs --analyzer words")


def refuse_stages(arguments: argparse.Namespace) -> None:
    """Refuse options that say how an index is made, where one is given.

    Raises:
        UsageError: If there are any.
    """
    for option in (*ANALYSIS, *STORAGE, "passages"):
        if getattr(arguments, option) is not None:
            name = {"passages": "no-passages"}.get(option, option.replace("_", "-"))
            raise UsageError(f"--{name} is for a new index; that of --index is as it was made")


def load_search(arguments: argparse.Namespace) -> Search:
    """Load the index that the arguments name, with the models that they name in place of its own.

    Raises:
        UsageError: If options ask for what the index does not have.
        CheckpointError: If the index is missing or damaged, or another model wrote it.
    """
    with telling("opening the index"):
        _check_index(arguments)
        return Search.load(
            arguments.index,
            model=arguments.model,
            reranker=arguments.reranker,
            threads=arguments.threads,
        )


def _check_index(arguments: argparse.Namespace) -> None:
    """Refuse what an index does not have; what is wrong with itself is told by its loading."""
    index = arguments.index
    stages = read_manifest(Path(index)).settings.get("stages")
    if not isinstance(stages, Mapping):
        return
    if "reranker" not in stages:
        if arguments.reranker:
            raise UsageError(f"--reranker: {index!r} has no reranker; index again with one")
        if arguments.fuse not in (None, "none"):
            raise UsageError(f"--fuse {arguments.fuse} needs a reranker; {index!r} has none")
    kind = stages.get("retriever")
    kind = kind.get("kind") if isinstance(kind, Mapping) else None
    if arguments.model and isinstance(kind, str) and kind in LEXICAL:
        raise UsageError(f"--model: {index!r} has the retriever {kind}, which takes no model")


def stage_names(search: Search) -> dict[str, str | None]:
    """Return the names of both stages, for reports."""
    reranker = search.reranker
    return {
        "retriever": type(plain(search.retriever)).__name__,
        "reranker": type(plain(reranker)).__name__ if reranker is not None else None,
    }


def active_terms(search: Search) -> dict[str, float] | None:
    """Return the mean number of terms of a query and of a document, if a model gives them.

    Of the queries that were put to the search, and of the documents that are stored.
    """
    retriever = plain(search.retriever)
    if not isinstance(retriever, _WeighingTerms):
        return None
    asked = retriever.asked
    return {
        "query": round(asked.n_terms / max(1, asked.n_texts), 2),
        "document": round(retriever.n_active_terms() / max(1, len(retriever)), 2),
    }


def _retriever(arguments: argparse.Namespace) -> Retriever:
    name = arguments.retriever
    if name in LEXICAL:
        return LEXICAL[name](analyzer=_analyzer(arguments))
    if name in NEURAL:
        return NEURAL[name].load(arguments.model, threads=arguments.threads)
    return find(name).from_record({"kind": name}, arguments.model, arguments.threads)


def _store_token_vectors(
    retriever: Retriever, reranker: Reranker | None, arguments: argparse.Namespace
) -> None:
    """Store token vectors as the arguments say; with outlines where they are to retrieve."""
    settings = _given(arguments, STORAGE)
    n_told = 0
    for stage in (retriever, reranker):
        if isinstance(stage, _StoringTokens):
            with as_usage("--token-vectors and --pool: "):
                stage.store_as(TokenStorage(outlines=stage is retriever, **settings))
            n_told += 1
    if settings and not n_told:
        raise UsageError(f"--token-vectors and --pool need a ColBERT model; {WITHOUT}")


def _given(arguments: argparse.Namespace, options: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that are given, by the names in `options`."""
    found = {name: getattr(arguments, option) for option, name in options.items()}
    return {name: value for name, value in found.items() if value is not None}


def _analyzer(arguments: argparse.Namespace) -> Analyzer:
    """Return the analyzer of a lexical retriever: its default, with the settings that are given."""
    settings = _given(arguments, ANALYSIS)
    if "ngrams" in settings:
        settings["ngrams"] = _ngrams(settings["ngrams"])
    with as_usage("--"):
        return replace(LEXICAL[arguments.retriever]().analyzer, **settings)


def _ngrams(text: str) -> tuple[int, int]:
    low, comma, high = text.partition(",")
    if not (comma and low.isdecimal() and high.isdecimal()):
        raise UsageError(f"--ngrams must be two numbers such as 3,5, got {text!r}")
    return int(low), int(high)
