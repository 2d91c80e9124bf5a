"""MultiVectorEncoders of sentence-transformers 6, as it saves them.

`python -m tests.owners.st_vectors OUT [NAME...]`
"""

from __future__ import annotations

import json
import shutil
import string
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tests.owners.record import Golden, Make, edit, make_all, of_vectors
from tests.owners.st_parts import (
    CONFIG,
    PROMPTS,
    Change,
    lowered_by_module,
    lowered_by_tokenizer,
    part,
    st,
    transformer,
)
from tests.owners.texts import DOCUMENTS, QUERIES

TOKENS = {"module_input_name": "token_embeddings"}
NN = torch.nn


def open_vectors(folder: Path) -> Golden:
    """Return what MultiVectorEncoder says of a folder, each text by itself."""
    model = st().MultiVectorEncoder(str(folder), device="cpu")
    queries = [model.encode_query(text).numpy() for text in QUERIES]
    documents = [model.encode_document(text).numpy() for text in DOCUMENTS]
    golden = of_vectors(queries, documents)
    golden["scores"] = model.similarity(queries, documents).double().numpy().round(6).tolist()
    return golden


def dense(width: int, out: int, **more: Any) -> Any:
    layer = part("Dense")(width, out, **{"activation_function": NN.Identity(), **TOKENS, **more})
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.normal_(std=1 / tensor.shape[-1] ** 0.5)
    return layer


def vectors(
    build: Callable[[int], Sequence[Any]],
    kind: str = "bert",
    prompts: dict[str, str] | None = None,
    similarity: str | None = None,
    change: Change | None = None,
    **rules: Any,
) -> Make:
    """Return a maker of a MultiVectorEncoder; `build` makes what follows the encoder's width."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        first = transformer(kind, **rules)
        modules = [first, *build(first.get_embedding_dimension())]
        options = {"prompts": prompts, "similarity_fn_name": similarity, "device": "cpu"}
        st().MultiVectorEncoder(modules=modules, **options).save_pretrained(str(folder))
        if change:
            change(folder)
        return open_vectors(folder)

    return make


def head(width: int, mask: dict[str, Any] | None = None, **more: Any) -> list[Any]:
    """Return the usual end: a layer without bias, the mask, vectors of length 1."""
    return [
        dense(width, width // 2, bias=False, **more),
        part("MultiVectorMask")(**(mask or {})),
        part("Normalize")(**TOKENS),
    ]


def masked(**mask: Any) -> Callable[[int], list[Any]]:
    return lambda width: head(width, mask)


def two(width: int) -> list[Any]:
    first = dense(width, 2 * width, activation_function=NN.Tanh())
    second = dense(2 * width, 2 * width, activation_function=NN.GELU(), use_residual=True)
    third = dense(2 * width, 8, use_residual=True)
    return [first, second, third, part("MultiVectorMask")(), part("Normalize")(**TOKENS)]


def between(width: int) -> list[Any]:
    norm = part("Normalize")(**TOKENS)
    return [dense(width, width), norm, *head(width)]


def with_kwargs(folder: Path) -> None:
    """Write a key of `modules.json` that has no effect here."""
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["kwargs"] = []
    (folder / "modules.json").write_text(json.dumps(modules, indent=1))


def reopened(source: Make) -> Make:
    """Return a maker of what MultiVectorEncoder makes of another format, saved as its own."""

    def make(folder: Path) -> Golden:
        other = folder.parent / f"{folder.name}-source"
        source(other)
        st().MultiVectorEncoder(str(other), device="cpu").save_pretrained(str(folder))
        shutil.rmtree(other)
        return open_vectors(folder)

    return make


def stanford(folder: Path) -> Golden:
    return import_module("tests.owners.stanford_models").MAKES["stanford-bert"](folder)  # type: ignore[no-any-return]


def expansion(length: int, strategy: str = "fixed", **more: Any) -> dict[str, Any]:
    return {"query_expansion": {"strategy": strategy, "length": length, **more}}


PUNCTUATION = {"skiplist_words": list(string.punctuation)}

MAKES: dict[str, Make] = {
    "st-vectors": vectors(masked()),
    "st-vectors-expansion": vectors(
        masked(**PUNCTUATION), prompts=PROMPTS, document_length=40, **expansion(24)
    ),
    "st-vectors-expansion-min": vectors(masked(), query_length=40, **expansion(12, "min")),
    "st-vectors-expansion-token": vectors(
        masked(), **expansion(20, attend=True, token="[unused3]")
    ),
    "st-vectors-expansion-unmasked": vectors(
        lambda width: [dense(width, 8), part("Normalize")(**TOKENS)], **expansion(20)
    ),
    "st-vectors-lengths": vectors(masked(), query_length=9, document_length=17),
    "st-vectors-skip-queries": vectors(
        masked(**PUNCTUATION, skiplist_tasks=["query", "document"]), **expansion(16)
    ),
    "st-vectors-skip-unknown": vectors(
        masked(skiplist_words=["the", "notaword", "[SEP]", "[UNK]"])
    ),
    "st-vectors-keep-only": vectors(masked(keep_only_token_ids=[8, 9, 60, 61, 62, 63])),
    "st-vectors-layers": vectors(two),
    "st-vectors-normalize-between": vectors(between),
    "st-vectors-no-normalize": vectors(lambda width: head(width)[:2]),
    "st-vectors-no-layer": vectors(
        lambda width: [part("MultiVectorMask")(), part("Normalize")(**TOKENS)]
    ),
    "st-vectors-no-mask": vectors(lambda width: [dense(width, 8), part("Normalize")(**TOKENS)]),
    "st-vectors-pooled": vectors(
        lambda width: [*head(width), part("HierarchicalTokenPooling")(2.0)]
    ),
    "st-vectors-pooled-off": vectors(
        lambda width: [*head(width), part("HierarchicalTokenPooling")(1.0)]
    ),
    "st-vectors-mean": vectors(masked(), similarity="meanmaxsim"),
    "st-vectors-passage": vectors(masked(), prompts={"query": "ask: ", "passage": "text: "}),
    "st-vectors-default-prompt": vectors(
        masked(),
        change=lambda folder: edit(
            folder / CONFIG, prompts={"x": "see: "}, default_prompt_name="x"
        ),
    ),
    "st-vectors-kwargs": vectors(masked(), change=with_kwargs),
    "st-vectors-lower": vectors(masked(), "bert-cased", change=lowered_by_module),
    "st-vectors-lower-tokenizer": vectors(masked(), "bert-cased", change=lowered_by_tokenizer),
    "st-vectors-roberta": vectors(masked(**PUNCTUATION), "roberta", PROMPTS, **expansion(24)),
    "st-vectors-modernbert": vectors(masked(), "modernbert", PROMPTS, **expansion(24)),
    "st-vectors-xlm-roberta": vectors(masked(**PUNCTUATION), "xlm-roberta", PROMPTS),
    "st-vectors-from-stanford": reopened(stanford),
}

if __name__ == "__main__":
    make_all(MAKES, *sys.argv[1:])
