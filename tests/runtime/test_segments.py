"""What every index keeps its documents in: segments, and names found by their hashes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.store.names import Name, Names
from glane.store.segments import Segments, locate


@given(st.lists(st.one_of(st.integers(), st.text()), unique_by=lambda name: (type(name), name)))
def test_any_names_are_found_and_told_apart(written: list[Name]) -> None:
    names = Names()
    for start in range(0, len(written), 3):
        names.add(written[start : start + 3])
    assert names.find(written).tolist() == list(range(len(written)))
    assert names.names(range(len(written))) == written
    others = [name for name in ("absent", -99, "7", 7) if name not in written]
    assert all(number == -1 for number in names.find([*others, "1e9999"]))


def test_names_of_equal_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "glane.store.names._hashes", lambda written: np.full(len(written), 5, np.uint64)
    )
    names = Names()
    names.add(["a", "b", 3])
    names.add(["c"])
    assert names.find(["c", 3, "b", "a", "3"]).tolist() == [3, 2, 1, 0, -1]


def test_segments_stay_few() -> None:
    rows = Segments(lambda parts: {"n": np.concatenate([p.arrays["n"][p.kept] for p in parts])})
    for number in range(200):
        rows.add({"n": np.array([number])}, 1)
        assert len(rows.parts) <= 1 + np.log2(number + 1)
    rows.delete(np.arange(0, 99))
    assert len(rows) == 101
    rows.delete(np.array([150, 151]))
    assert [part.n_deleted for part in rows.parts] == [0]
    assert rows.parts[0].arrays["n"].tolist() == rows.parts[0].ids.tolist()
    with pytest.raises(ValueError, match="unknown document 150; it is not stored"):
        locate(rows.parts, np.array([152, 150]))
