"""Stanford's ColBERT, written by hand: `python -m tests.owners.stanford_models OUT [NAME...]`.

`colbert-ai` pins torch 1.13 and does not install beside what is here. A checkpoint is an encoder
under its `base_model_prefix`, `linear.weight`, and `artifact.metadata`; it is scored by the rules
of `colbert/modeling` in colbert-ai 0.2.22, told again in plain transformers.
"""

from __future__ import annotations

import json
import shutil
import string
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tests.owners.record import Golden, Make, base, make_all, of_vectors
from tests.owners.texts import DOCUMENTS, QUERIES

METADATA: dict[str, Any] = {
    "query_token_id": "[unused0]",
    "doc_token_id": "[unused1]",
    "query_token": "[Q]",
    "doc_token": "[D]",
    "ncells": None,
    "centroid_score_threshold": None,
    "ndocs": None,
    "index_path": None,
    "nbits": 1,
    "kmeans_niters": 20,
    "resume": False,
    "similarity": "cosine",
    "bsize": 32,
    "accumsteps": 1,
    "lr": 1e-05,
    "maxsteps": 400000,
    "save_every": None,
    "warmup": 20000,
    "warmup_bert": None,
    "relu": False,
    "nway": 64,
    "use_ib_negatives": True,
    "reranker": False,
    "distillation_alpha": 1.0,
    "ignore_scores": False,
    "model_name": None,
    "query_maxlen": 32,
    "attend_to_mask_tokens": False,
    "interaction": "colbert",
    "dim": 8,
    "doc_maxlen": 60,
    "mask_punctuation": True,
    "checkpoint": "bert",
    "triples": "",
    "collection": "",
    "queries": "",
    "index_name": None,
    "overwrite": False,
    "root": "experiments",
    "experiment": "default",
    "index_root": None,
    "name": "2026-11/25",
    "rank": 0,
    "nranks": 1,
    "amp": True,
    "gpus": 1,
}


def made(
    kind: str = "bert",
    *,
    pickled: bool = False,
    nested: bool = False,
    missing: tuple[str, ...] = (),
    **changed: Any,
) -> Make:
    """Return a maker of a checkpoint; metadata has `changed` keys and none of `missing`."""

    def make(folder: Path) -> Golden:
        metadata = {**METADATA, **changed}
        _write(folder, kind, metadata["dim"], pickled=pickled)
        said = {name: value for name, value in metadata.items() if name not in missing}
        said = {"config": said, "meta": {"version": "colbert-v0.4"}} if nested else said
        (folder / "artifact.metadata").write_text(json.dumps(said, indent=4))
        return opened(folder, metadata)

    return make


def _write(folder: Path, kind: str, dim: int, *, pickled: bool) -> None:
    source = Path(base(kind))
    shutil.copytree(source, folder)
    transformers = import_module("transformers")
    encoder = transformers.AutoModel.from_pretrained(source)
    torch.manual_seed(0)
    prefix = encoder.base_model_prefix
    weights = {f"{prefix}.{name}": tensor for name, tensor in encoder.state_dict().items()}
    weights["linear.weight"] = torch.randn(dim, encoder.config.hidden_size) / 4
    (folder / "model.safetensors").unlink()
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        files = import_module("safetensors.torch")
        files.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["HF_ColBERT"]
    (folder / "config.json").write_text(json.dumps(config, indent=1))


class _Scorer:
    def __init__(self, folder: Path, metadata: dict[str, Any]) -> None:
        transformers = import_module("transformers")
        self.metadata = metadata
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        config = transformers.AutoConfig.from_pretrained(folder)
        self.encoder = transformers.AutoModel.from_config(config).eval()
        weights = _weights(folder)
        prefix = f"{self.encoder.base_model_prefix}."
        inner = {key.removeprefix(prefix): value for key, value in weights.items()}
        self.linear = inner.pop("linear.weight")
        self.encoder.load_state_dict(inner)
        encoded = (
            self.tokenizer.encode(mark, add_special_tokens=False) for mark in string.punctuation
        )
        self.skipped = {ids[0] for ids in encoded} if metadata["mask_punctuation"] else set()

    def ids(self, text: str, marker: str, length: int) -> list[int]:
        found = self.tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
        return [found[0], self.tokenizer.convert_tokens_to_ids(marker), *found[1:]]

    def vectors(self, ids: list[int], attended: list[int]) -> torch.Tensor:
        with torch.no_grad():
            inputs = {"attention_mask": torch.tensor([attended])}
            found = self.encoder(input_ids=torch.tensor([ids]), **inputs).last_hidden_state[0]
            return torch.nn.functional.normalize(found @ self.linear.T, dim=-1)

    def query(self, text: str) -> tuple[list[int], torch.Tensor]:
        length = self.metadata["query_maxlen"]
        ids = self.ids(text, self.metadata["query_token_id"], length)
        n_left = length - len(ids)
        attended = [1] * len(ids) + [int(self.metadata["attend_to_mask_tokens"])] * n_left
        ids += [self.tokenizer.mask_token_id] * n_left
        return ids, self.vectors(ids, attended)

    def document(self, text: str) -> tuple[list[int], torch.Tensor]:
        ids = self.ids(text, self.metadata["doc_token_id"], self.metadata["doc_maxlen"])
        pad = self.tokenizer.pad_token_id
        kept = torch.tensor([number not in self.skipped and number != pad for number in ids])
        return ids, self.vectors(ids, [1] * len(ids))[kept]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "pytorch_model.bin"
    if path.exists():
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    found = import_module("safetensors.torch").load_file(folder / "model.safetensors")
    return dict(found)


def opened(folder: Path, metadata: dict[str, Any]) -> Golden:
    """Return what colbert-ai's rules give for a folder."""
    scorer = _Scorer(folder, metadata)
    queries = [scorer.query(text) for text in QUERIES]
    documents = [scorer.document(text) for text in DOCUMENTS]
    more = {"query_ids": [ids for ids, _ in queries], "document_ids": [ids for ids, _ in documents]}
    return of_vectors(
        [rows.numpy() for _, rows in queries], [rows.numpy() for _, rows in documents], **more
    )


MAKES: dict[str, Make] = {
    "stanford-bert": made(),
    "stanford-nested": made(nested=True),
    "stanford-few-keys": made(
        doc_maxlen=220,
        missing=(
            "query_token_id",
            "doc_token_id",
            "mask_punctuation",
            "doc_maxlen",
            "query_maxlen",
        ),
    ),
    "stanford-punctuation-kept": made(mask_punctuation=False, query_maxlen=16),
    "stanford-attended": made(attend_to_mask_tokens=True, query_maxlen=24, dim=12),
    "stanford-markers": made(query_token_id="[unused4]", doc_token_id="light"),
    "stanford-pickled": made(pickled=True),
    "stanford-distilbert": made("distilbert"),
    "stanford-electra": made("electra"),
    "stanford-roberta": made("roberta", query_token_id="<mask>", doc_token_id="</s>"),
    "stanford-xlm-roberta": made("xlm-roberta", query_token_id="<mask>", doc_token_id="</s>"),
}

if __name__ == "__main__":
    make_all(MAKES, *sys.argv[1:])
