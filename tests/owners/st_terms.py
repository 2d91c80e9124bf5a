"""SparseEncoders and dense models of sentence-transformers 6, and layouts that it still reads.

`python -m tests.owners.st_terms OUT [NAME...]`
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tests.owners.record import Golden, Make, edit, make_all, of_terms, of_vectors
from tests.owners.st_parts import (
    CONFIG,
    PROMPTS,
    TRANSFORMER,
    Change,
    lowered_by_module,
    lowered_by_tokenizer,
    part,
    st,
    transformer,
)
from tests.owners.texts import DOCUMENTS, QUERIES


def open_terms(folder: Path) -> Golden:
    """Return what SparseEncoder says of a folder, each text by itself."""
    model = st().SparseEncoder(str(folder), device="cpu")
    queries = torch.stack([model.encode_query(text).to_dense() for text in QUERIES])
    documents = torch.stack([model.encode_document(text).to_dense() for text in DOCUMENTS])
    golden = of_terms(queries, documents)
    golden["scores"] = model.similarity(queries, documents).double().numpy().round(6).tolist()
    return golden


def open_dense(folder: Path) -> Golden:
    """Return what SentenceTransformer says of a folder: one vector a text."""
    model = st().SentenceTransformer(str(folder), device="cpu")
    queries = [model.encode_query(text)[None] for text in QUERIES]
    documents = [model.encode_document(text)[None] for text in DOCUMENTS]
    return of_vectors(queries, documents)


def terms(
    pooling: dict[str, Any] | None = None,
    kind: str = "mlm",
    change: Change | None = None,
    more: Sequence[Callable[[Any], Any]] = (),
    **settings: Any,
) -> Make:
    """Return a maker of a SparseEncoder of one encoder and a SpladePooling."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        first = transformer(kind, transformer_task="fill-mask")
        modules = [first, part("SpladePooling")(**(pooling or {}))]
        modules += [build(first) for build in more]
        st().SparseEncoder(modules=modules, device="cpu", **settings).save_pretrained(str(folder))
        if change:
            change(folder)
        return open_terms(folder)

    return make


def routed(
    query: Callable[[Any], list[Any]],
    pooling: dict[str, Any] | None = None,
    change: Change | None = None,
    **settings: Any,
) -> Make:
    """Return a maker of a SparseEncoder whose queries go another way than its documents."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        first = transformer("mlm", transformer_task="fill-mask")
        documents = [first, part("SpladePooling")(**(pooling or {}))]
        router = part("Router").for_query_document(query(first), documents)
        model = st().SparseEncoder(modules=[router], device="cpu", **settings)
        model.save_pretrained(str(folder))
        if change:
            change(folder)
        return open_terms(folder)

    return make


def static(first: Any, *, negative: bool = False, frozen: bool = False) -> list[Any]:
    """Return a table with a weight for each token of a query."""
    weight = torch.rand(len(first.tokenizer)) * 3 - (1 if negative else 0)
    kind = part("SparseStaticEmbedding")
    return [kind(tokenizer=first.tokenizer, weight=weight, frozen=frozen)]


def other(_: Any) -> list[Any]:
    """Return an encoder for queries of the same shape, with weights of its own."""
    own = transformer("mlm", transformer_task="fill-mask")
    with torch.no_grad():
        for tensor in own.parameters():
            tensor *= 0.9
    return [own, part("SpladePooling")()]


def as_idf(folder: Path) -> None:
    """Turn the table into JSON, as the first inference-free models had it."""
    place = folder / "query_0_SparseStaticEmbedding"
    files = import_module("safetensors.torch")
    weights = files.load_file(place / "model.safetensors")["weight"].tolist()
    model = json.loads((place / "tokenizer.json").read_text())["model"]
    known = {name: weights[number] for name, number in model["vocab"].items() if number % 3}
    (place / "idf.json").write_text(json.dumps(known, ensure_ascii=False))
    (place / "model.safetensors").unlink()
    edit(place / "config.json", path=str(place / "idf.json"))


def as_asym(folder: Path) -> None:
    """Name things as before the router was called one."""
    (folder / "router_config.json").rename(folder / "config.json")
    known = json.loads((folder / "config.json").read_text())
    known["parameters"] = {"allow_empty_key": True}
    (folder / "config.json").write_text(json.dumps(known, indent=1))
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.models.Asym"
    (folder / "modules.json").write_text(json.dumps(modules, indent=1))


def as_version_5(folder: Path) -> None:
    """Name the modules of a SparseEncoder as sentence-transformers 5 did."""
    place = next(folder.glob("1_*"))
    edit(
        place / "config.json",
        embedding_dimension=...,
        word_embedding_dimension=None,
        chunk_size=2,
    )
    (folder / TRANSFORMER).write_text('{"max_seq_length": 100, "do_lower_case": false}')
    modules = json.loads((folder / "modules.json").read_text())
    for module, name in zip(modules, ("MLMTransformer", "SpladePooling"), strict=True):
        module["type"] = f"sentence_transformers.sparse_encoder.models.{name}"
    (folder / "modules.json").write_text(json.dumps(modules, indent=1))


def pooled(*modules: Callable[[int], Any], change: Change | None = None, **settings: Any) -> Make:
    """Return a maker of a dense model."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        first = transformer("bert")
        width = first.get_embedding_dimension()
        stack = [first, *(build(width) for build in modules)]
        model = st().SentenceTransformer(modules=stack, device="cpu", **settings)
        model.save_pretrained(str(folder))
        if change:
            change(folder)
        return open_dense(folder)

    return make


def older_layout(folder: Path) -> None:
    """Write a dense model as sentence-transformers 2 did."""
    place = folder / "0_Transformer"
    place.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", CONFIG, "README.md"):
            shutil.move(path, place / path.name)
    (place / TRANSFORMER).write_text('{"max_seq_length": 64, "do_lower_case": true}')
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    for module in modules:
        name = module["type"].split(".")[-1]
        module["type"] = f"sentence_transformers.models.{name}"
    (folder / "modules.json").write_text(json.dumps(modules, indent=1))
    known = json.loads((folder / "1_Pooling" / "config.json").read_text())
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    old = {f"pooling_mode_{mode}": mode == "mean_tokens" for mode in modes}
    old = {"word_embedding_dimension": known["embedding_dimension"]} | old
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old, indent=1))
    shutil.rmtree(folder / "3_Normalize")
    versions = {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}
    (folder / CONFIG).write_text(json.dumps({"__version__": versions}))


def autoencoder(folder: Path) -> Golden:
    torch.manual_seed(0)
    first = transformer("bert")
    width = first.get_embedding_dimension()
    end = part("SparseAutoEncoder")(input_dim=width, hidden_dim=64, k=8, k_aux=16)
    stack = [first, part("Pooling")(width), end]
    st().SparseEncoder(modules=stack, device="cpu").save_pretrained(str(folder))
    return open_terms(folder)


TERMS: dict[str, Make] = {
    "st-terms-max-relu": terms(),
    "st-terms-max-log1p": terms({"activation_function": "log1p_relu"}),
    "st-terms-sum-relu": terms({"pooling_strategy": "sum", "chunk_size": 3}),
    "st-terms-sum-log1p": terms({"pooling_strategy": "sum", "activation_function": "log1p_relu"}),
    "st-terms-version-5": terms(change=as_version_5),
    "st-terms-active": terms(max_active_dims=10),
    "st-terms-prompts": terms(prompts=PROMPTS),
    "st-terms-cosine": terms(similarity_fn_name="cosine"),
    "st-terms-lower": terms(kind="mlm-cased", change=lowered_by_module),
    "st-terms-lower-tokenizer": terms(kind="mlm-cased", change=lowered_by_tokenizer),
    "st-terms-modernbert": terms(kind="modernbert-mlm", prompts=PROMPTS),
    "st-terms-times-table": terms(more=[lambda first: static(first)[0]]),
    "st-terms-table": routed(static, {"activation_function": "log1p_relu"}),
    "st-terms-table-negative": routed(lambda first: static(first, negative=True, frozen=True)),
    "st-terms-table-idf": routed(static, change=as_idf),
    "st-terms-table-prompts": routed(static, prompts=PROMPTS),
    "st-terms-table-asym": routed(static, change=as_asym),
    "st-terms-shared-routes": routed(lambda first: [first, part("SpladePooling")()]),
    "st-terms-two-encoders": routed(other),
    "st-terms-two-poolings": routed(lambda first: [first, part("SpladePooling")("sum")]),
    "st-autoencoder": autoencoder,
}


def pooling(**settings: Any) -> Callable[[int], Any]:
    return lambda width: part("Pooling")(width, **settings)


DENSE: dict[str, Make] = {
    "st-dense-older": pooled(
        pooling(),
        lambda width: part("Dense")(width, 8),
        lambda _: part("Normalize")(),
        change=older_layout,
    ),
    "st-dense-cls-prompts": pooled(
        pooling(pooling_mode="cls", include_prompt=False), prompts={"query": "query: "}
    ),
}

MAKES = TERMS | DENSE

if __name__ == "__main__":
    make_all(MAKES, *sys.argv[1:])
