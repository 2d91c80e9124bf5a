"""PyLate's ColBERTs, as PyLate saves them.

`python -m tests.owners.pylate_models OUT [NAME...]`
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tests.owners.record import Golden, Make, base, edit, make_all, of_vectors
from tests.owners.texts import DOCUMENTS, QUERIES

CONFIG = "config_sentence_transformers.json"
TRANSFORMER = "sentence_bert_config.json"


def opened(folder: Path) -> Golden:
    """Return what PyLate says of a folder, each text by itself."""
    full = {"dtype": torch.float32}  # a folder in bfloat16 would be computed in it
    model = import_module("pylate.models").ColBERT(str(folder), device="cpu", model_kwargs=full)
    rows, ids = [], []
    for texts, is_query in ((QUERIES, True), (DOCUMENTS, False)):
        options = {"is_query": is_query, "show_progress_bar": False}
        rows.append([model.encode([text], **options)[0] for text in texts])
        ids.append([_ids(model, text, is_query) for text in texts])
    return of_vectors(*rows, query_ids=ids[0], document_ids=ids[1])


def _ids(model: Any, text: str, is_query: bool) -> list[int]:
    prompt = model.prompts.get(model.default_prompt_name) or ""
    found = model.tokenize([prompt + text], is_query=is_query)["input_ids"][0]
    return [int(number) for number in found]


Change = Callable[[Path], None]


def made(kind: str = "bert", change: Change | None = None, **settings: Any) -> Make:
    """Return a maker of a ColBERT of one linear layer; `change` edits what was saved."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        colbert = import_module("pylate.models").ColBERT
        settings.setdefault("embedding_size", 8 if "tiny" in base(kind) else 128)
        settings.setdefault("document_length", 60)
        colbert(base(kind), device="cpu", **settings).save_pretrained(str(folder))
        if change:
            change(folder)
        return opened(folder)

    return make


def layers(*wanted: dict[str, Any], kind: str = "bert", safe: bool = True) -> Make:
    """Return a maker of a ColBERT of several Dense layers."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        models = import_module("pylate.models")
        transformer = import_module("sentence_transformers.models").Transformer(base(kind))
        width = transformer.get_word_embedding_dimension()
        stack = [transformer]
        for each in wanted:
            out = int(each["width"] * width)
            more = {key: value for key, value in each.items() if key != "width"}
            stack.append(models.Dense(width, out, **more))
            width = out
        model = models.ColBERT(modules=stack, device="cpu", document_length=60)
        with torch.no_grad():
            for tensor in _dense(model):
                tensor.normal_(std=1 / tensor.shape[-1] ** 0.5)
        model.save_pretrained(str(folder), safe_serialization=safe)
        return opened(folder)

    return make


def _dense(model: Any) -> Iterable[torch.Tensor]:
    return [tensor for place in range(1, len(model)) for tensor in model[place].parameters()]


def config(**changes: Any) -> Change:
    """Return a change of keys of `config_sentence_transformers.json`."""
    return lambda folder: edit(folder / CONFIG, **changes)


def older(folder: Path) -> None:
    """Write as the first PyLate did: few keys, nothing of residuals, the encoder in the root."""
    known = json.loads((folder / CONFIG).read_text())
    kept = ("query_prefix", "document_prefix", "query_length", "document_length")
    few = {name: known[name] for name in kept} | {"attend_to_expansion_tokens": False}
    (folder / CONFIG).write_text(json.dumps(few))
    edit(folder / "1_Dense" / "config.json", use_residual=...)
    (folder / TRANSFORMER).write_text(json.dumps({"max_seq_length": 59, "do_lower_case": False}))


def in_subfolder(folder: Path) -> None:
    """Put the encoder into a folder of its own."""
    place = folder / "0_Transformer"
    place.mkdir()
    for path in list(folder.iterdir()):
        names = ("modules.json", CONFIG, "README.md", "1_Dense", "0_Transformer")
        if path.name not in names:
            shutil.move(path, place / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))


def with_normalize(folder: Path) -> None:
    """Name a module behind the layers that PyLate does not run."""
    modules = json.loads((folder / "modules.json").read_text())
    known = "sentence_transformers.models.Normalize"
    modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": known})
    (folder / "2_Normalize").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules))


def halved(folder: Path) -> None:
    """Store the encoder's weights in bfloat16."""
    files = import_module("safetensors.torch")
    path = folder / "model.safetensors"
    weights = {name: tensor.bfloat16() for name, tensor in files.load_file(path).items()}
    files.save_file(weights, path, {"format": "pt"})
    edit(folder / "config.json", dtype="bfloat16")


def from_dense(folder: Path) -> Golden:
    """Take the layer of a dense model of sentence-transformers over, then add one of PyLate's."""
    torch.manual_seed(0)
    st, models = (
        import_module("sentence_transformers"),
        import_module("sentence_transformers.models"),
    )
    transformer = models.Transformer(base("bert"))
    width = transformer.get_word_embedding_dimension()
    modules = [transformer, models.Pooling(width), models.Dense(width, 12)]
    dense = folder.parent / f"{folder.name}-source"
    st.SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(dense))
    colbert = import_module("pylate.models").ColBERT
    colbert(str(dense), device="cpu", embedding_size=8, document_length=60).save(str(folder))
    shutil.rmtree(dense)
    return opened(folder)


NN = torch.nn

MAKES: dict[str, Make] = {
    "pylate-tiny": made(query_length=16, skiplist_words=None),
    "pylate-two-layers": layers(
        {"width": 2, "bias": True, "activation_function": NN.Tanh()},
        {"width": 0.25, "bias": False, "activation_function": NN.Identity()},
    ),
    "pylate-three-layers": layers(
        {"width": 1, "bias": True, "activation_function": NN.GELU(), "use_residual": True},
        {"width": 1.5, "bias": True, "activation_function": NN.ReLU(), "use_residual": True},
        {"width": 0.25, "bias": True, "activation_function": NN.Identity()},
    ),
    "pylate-activations": layers(
        {"width": 1, "bias": True, "activation_function": NN.Softplus()},
        {"width": 1, "bias": True, "activation_function": NN.SiLU()},
        {"width": 0.5, "bias": False, "activation_function": NN.LeakyReLU()},
    ),
    "pylate-pickled-layer": layers({"width": 0.5, "bias": True}, safe=False),
    "pylate-no-expansion-attend": made(do_query_expansion=False, attend_to_expansion_tokens=True),
    "pylate-attend-short": made(attend_to_expansion_tokens=True, query_length=12),
    "pylate-nulls": made(
        document_length=180,
        change=config(
            query_prefix=None,
            document_prefix=None,
            query_length=None,
            document_length=None,
            skiplist_words=None,
            do_query_expansion=None,
            attend_to_expansion_tokens=None,
        ),
    ),
    "pylate-no-prefix": made(query_prefix="", document_prefix=""),
    "pylate-one-prefix": made(query_prefix="", document_prefix="passage: "),
    "pylate-prompts-unused": made(change=config(prompts={"query": "ask ", "document": "text "})),
    "pylate-default-prompt": made(
        change=config(prompts={"query": "ask "}, default_prompt_name="query")
    ),
    "pylate-skiplist-unknown": made(skiplist_words=["the", "notaword", "[SEP]", ".", "."]),
    "pylate-older": made(change=older),
    "pylate-subfolder": made(change=in_subfolder),
    "pylate-normalize-named": made(change=with_normalize),
    "pylate-lower": made(
        "bert-cased", change=lambda folder: edit(folder / TRANSFORMER, do_lower_case=True)
    ),
    "pylate-cased": made("bert-cased"),
    "pylate-bfloat16": made(change=halved),
    "pylate-from-dense": from_dense,
    "pylate-distilbert": made("distilbert"),
    "pylate-modernbert": made("modernbert"),
    "pylate-modernbert-text": made(
        "modernbert",
        do_query_expansion=False,
        query_prefix="",
        document_prefix="",
        skiplist_words=[],
    ),
    "pylate-roberta": made("roberta"),
    "pylate-xlm-roberta": made("xlm-roberta", query_length=20),
}

if __name__ == "__main__":
    make_all(MAKES, *sys.argv[1:])
