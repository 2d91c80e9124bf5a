"""What every retriever and reranker can do; imports none of them.

To add a retriever: a subclass of `Retriever` (`docs/adding-a-retriever.md`), and a line in
`registry.py` or, in a package of one's own, an entry point of the group `glane.retrievers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from glane.hits import Hits
from glane.model.encoder import Encoder
from glane.store.segments import Segments
from glane.types import Ids, Mask


@runtime_checkable
class Retriever(Protocol):
    """Finds the best of its documents; representations go in and hits come out.

    `Any` stands for the retriever's own representation of texts: it has a length, can be sliced,
    and its class puts parts together by `concatenate`, as `SparseVectors`, `TokenVectors` and
    `TermEmbeddings` do.

    Attributes:
        kind: Of the class: the name that the command line and an index know it by.
    """

    @property
    def encoder(self) -> Encoder | None:
        """The exported model that makes the representations; None where there is none."""
        return None

    def encode_documents(self, documents: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the representations of documents."""

    def encode_queries(self, queries: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the representations of queries."""

    def add(self, vectors: Any) -> Ids:  # noqa: ANN401
        """Store documents and return their numbers: 0 for the first, 1 more for each further."""
        ...

    def delete(self, ids: Ids) -> None:
        """Forget documents."""

    def search(self, queries: Any, k: int, within: Mask | None = None) -> Hits:  # noqa: ANN401
        """Return the k best documents for each query.

        Args:
            queries: From `encode_queries`.
            k: At least 1.
            within: By number, shape (numbers given,), which documents may be hits; None for all.
        """
        ...

    def compact(self) -> None:
        """Drop what is left of deleted documents; numbers and answers stay."""

    def snapshot(self) -> Self:
        """Return an equal retriever: changes of one leave the other alone, and nothing is copied.

        `copy.copy`, then a `Segments.snapshot` in place of each table.
        """
        ...

    def record(self) -> dict[str, Any]:
        """Return what makes an equal, empty retriever, as JSON; `kind` is its first entry."""
        ...

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of.

        Args:
            record: From `record`.
            model: The model that made what is stored, a folder or loaded; None where there is none.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If the model is missing where one is needed, or is another.
        """
        ...

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by name; the documents' own rows have the empty name."""
        ...

    def __len__(self) -> int:
        """Return how many documents are stored."""
        ...


@runtime_checkable
class Reranker(Retriever, Protocol):
    """A retriever that can also order the candidates of another."""

    def rerank(self, queries: Any, hits: Hits, k: int) -> Hits:  # noqa: ANN401
        """Order each query's hits anew."""
        ...
