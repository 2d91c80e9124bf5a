"""The modules' former names, which still import: `glane.dataset` is `glane.collection.dataset`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    **{name: f"retrievers.{name}" for name in ("bm25", "tfidf", "lexical", "neural")},
    **{name: f"retrievers.{name}" for name in ("colbert", "splade", "sparse_embed")},
    **{name: f"collection.{name}" for name in ("dataset", "records")},
    **{f"evaluation.{name}": f"collection.{name}" for name in ("dataset", "records")},
    **{name: f"maxsim.{name}" for name in ("pooling", "outlines")},
    **{name: f"model.{name}" for name in ("checkpoint", "scoring", "encoder")},
    "cli": "commands.main",
    "codes": "maxsim.quantization",
    "folders": "store.folders",
    "fusion": "retrievers.fusion",
    "index": "retrievers.saved",
    "inverted": "postings.inverted",
    "product": "maxsim.gemm",
    "retriever": "retrievers.registry",
    "saved": "retrievers.saved",
    "stopwords": "analysis.stopwords",
    "store.retriever": "store.stage",
    "term_embeddings": "postings.term_embeddings",
    "text": "model.preparation",
    "vocabulary": "analysis.vocabulary",
}
"""Former names and today's, below `glane`."""


class _Former:
    """Finds a module by its former name: it is the very module of today's name.

    The base classes of `importlib.abc` would take longer to load than all of this.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix("glane.")
        if fullname == name or name not in FORMER:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]  # has all that a loader needs

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module("glane." + FORMER[spec.name.removeprefix("glane.")])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back; it ran under today's name."""
        assert module.__spec__ is not None, "importlib has just set it"
        module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let the former names be imported."""
    if not any(isinstance(finder, _Former) for finder in sys.meta_path):
        sys.meta_path.append(_Former())
