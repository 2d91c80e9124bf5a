"""The files of an exported model, as they were read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from glane.errors import CheckpointError
from glane.model.checkpoint import DATA, QUERY_WEIGHTS, ModelInfo, file_head
from glane.model.graph_file import BLOCK, GraphFile
from glane.model.schema import parse_json, read_small

PROOF = "parity.json"
"""What the export proved; it holds the fingerprint of the model it was proved of."""

TEXT = "text.json"
"""How a text becomes token ids, for programs without glane (`docs/model-folder.md`)."""

CANARY = "canary.json"
"""Some texts, and what the model made of them where it was exported."""

FUSION = "fusion.json"
"""How its maker says that its ranking is fused with a retriever's (`docs/fusion.md`)."""

OTHERS = (QUERY_WEIGHTS, PROOF, TEXT, CANARY, FUSION)
"""Small files that a folder may lack."""


class ModelFiles:
    """A model folder's small files in memory, and its graph held open.

    What becomes of the folder afterwards, or of the working directory, does not change them.

    Attributes:
        folder: The model folder, absolute.
        small: Content of each small file by its name.
        graph: `model.onnx`.
        weights: `model.onnx.data`, of a model whose weights are not in its graph; else None.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the small files and open the graph.

        Raises:
            CheckpointError: If a file is missing.
        """
        self.folder = Path(folder).absolute()
        required = [ModelInfo.file_name, "glane.json", "tokenizer.json"]
        others = [name for name in OTHERS if (self.folder / name).is_file()]
        self.small = {name: read_small(folder, name) for name in (*required, *others)}
        head = b"".join(self._entry(name) for name in ("glane.json", "tokenizer.json"))
        self.graph = GraphFile(self.folder / "model.onnx", head)
        beside = self.folder / f"model.onnx{DATA}"
        self.weights = GraphFile(beside) if beside.exists() else None
        self._by_path = self.weights is not None

    @property
    def fingerprint(self) -> str:
        """The `fingerprint` of these files; the large ones are hashed at first use, and once."""
        digest = self.graph.hash()
        if self.weights is not None:
            digest.update(self.weights.hash().digest())
        if QUERY_WEIGHTS in self.small:
            digest.update(self._entry(QUERY_WEIGHTS))
        return digest.hexdigest()

    def check_proof(self) -> None:
        """Compare the files with the model that the export proved, where there is a proof.

        Raises:
            CheckpointError: If they are another model's.
        """
        if PROOF not in self.small:
            return
        path = str(self.folder / PROOF)
        proof = parse_json(self.small[PROOF], path)
        proved = proof.get("fingerprint") if isinstance(proof, dict) else None
        if proved != self.fingerprint:
            raise CheckpointError(
                f"{str(self.folder)!r} is damaged or was changed since it was exported: it is "
                f"{self.fingerprint}, but its {PROOF} is of {proved}; export it again"
            )

    def contents(self) -> dict[str, Callable[[], Iterator[bytes]]]:
        """Return for each file, by its name, what yields its content in blocks of 1 MiB.

        That of the graph raises `CheckpointError` where the file was written to since it was read.
        """
        small = {name: partial(_blocks, content) for name, content in self.small.items()}
        return {**small, **{file.path.name: file.blocks for file in self._large()}}

    def source(self, *, mapped: bool) -> str | bytes | None:
        """Return what onnxruntime loads, as `GraphFile.source`; None for the graph at its path.

        Weights beside a graph, or mapped from it, are found by its path alone, so that the folder
        must still be what it was: `check` tells.

        Args:
            mapped: Whether onnxruntime can map what `GraphFile.mapped` leaves out.
        """
        if self.weights is not None:
            return None
        without = self.graph.mapped() if mapped else b""
        self._by_path = bool(without)
        return without or self.graph.source()

    def check(self) -> None:
        """Compare the large files with what was hashed, after they were loaded.

        Raises:
            CheckpointError: If one was written to since, or was replaced where it was loaded by its
                path.
        """
        for file in self._large():
            file.check()
            if self._by_path:
                file.check_place()

    def _large(self) -> list[GraphFile]:
        return [self.graph] if self.weights is None else [self.graph, self.weights]

    def _entry(self, name: str) -> bytes:
        return file_head(name, len(self.small[name])) + self.small[name]


def _blocks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), BLOCK):
        yield content[start : start + BLOCK]
