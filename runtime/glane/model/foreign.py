"""Tells what a folder is that is none of glane's, and what to do with it."""

from __future__ import annotations

from pathlib import Path

SIGNS = {
    "artifact.metadata": "a ColBERT of Stanford's library",
    "config_sentence_transformers.json": "a model of sentence-transformers or PyLate",
    "modules.json": "a model of sentence-transformers or PyLate",
    "metadata.json": "a model of neural-cherche",
    "linear.pt": "a model of neural-cherche",
    "config.json": "a model of transformers",
}
"""Files that tell where a model is from, the surest first."""


def advice(folder: str | Path, missing: str) -> str:
    """Return what to do with a folder that lacks a file of glane's, to be put behind a message.

    Args:
        folder: It may not exist.
        missing: The name of the file.

    Returns:
        Empty where nothing is recognised.
    """
    folder, shown = Path(folder), str(folder)
    if (folder / "glane.json").is_file():
        trained = missing == "model.json" and (folder / "model.safetensors").is_file()
        told = f"; it is a checkpoint: make a model of it with `glane export {shown} MODEL`"
        return told if trained else ""
    signs = [what for name, what in SIGNS.items() if (folder / name).is_file()]
    if signs:
        return (
            f"; it looks like {signs[0]}: make a model of it with `glane export {shown} MODEL`, or "
            f"train it further with `glane train KIND --base {shown}`"
        )
    graphs = sorted(path.name for path in folder.glob("*.onnx")) if folder.is_dir() else []
    if graphs:
        return (
            f"; it has the graph {graphs[0]}: glane export CHECKPOINT MODEL --graph "
            f"{folder / graphs[0]} takes it, with the checkpoint that it was made of"
        )
    return ""
