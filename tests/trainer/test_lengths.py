"""How long texts are: what a new model reads of queries, and what is cut."""

from pathlib import Path

import pytest

from glane_trainer import ColBERT, Example, Splade
from glane_trainer.lengths import LOOKED_AT, MOST, count_cut, read_whole
from glane_trainer.many import Examples
from glane_trainer.starts import Start, new_model


def queries(*n_words: int) -> list[str]:
    return [" ".join(["tea"] * n) for n in n_words]


@pytest.mark.parametrize(
    ("n_words", "limit", "length"),
    [
        ([1, 2, 3], None, 32),
        ([30], None, 32),
        ([31], None, 40),
        ([38], None, 40),
        ([39], None, 48),
        ([*[5] * 99, 60], None, 32),
        ([*[5] * 97, 60, 60, 60], None, 64),
        ([70], 66, 66),
        ([70], 20, 32),
        ([3000], None, MOST),
    ],
    ids=["short", "just", "above", "whole", "next", "one of 100", "three", "limit", "low", "huge"],
)
def test_queries_are_read_whole_but_for_one_in_a_hundred(
    bert: Path, n_words: list[int], limit: int | None, length: int
) -> None:
    preparer = ColBERT.from_base(bert).preparer
    found = read_whole(preparer, queries(*n_words), limit)
    assert found.checkpoint.query_length == length
    assert found.checkpoint.document_length == preparer.checkpoint.document_length
    assert found is preparer or length > 32


def test_what_fills_a_query_up_is_no_longer_than_before(bert: Path) -> None:
    model = ColBERT.from_base(bert, query_expansion=True)
    found = read_whole(model.preparer, queries(50))
    assert (found.checkpoint.query_length, found.checkpoint.expansion_length) == (56, 32)
    assert len(found.encode(queries(1), "query").input_ids[0]) == 32


def test_a_length_that_is_asked_for_or_the_bases_own_wins(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = Start(dim=8, principal=False, queries=queries(50))
    assert new_model("colbert", bert, start, {}).checkpoint.query_length == 56
    told = "queries are read up to 56 tokens instead of 32: 99 of 100 of 1 in the data have at most"
    assert told in capsys.readouterr().err
    assert new_model("colbert", bert, start, {"query_length": 16}).checkpoint.query_length == 16
    ColBERT.from_base(bert, dim=8, query_length=24).save(tmp_path / "own")
    again = Start(queries=queries(50))
    assert new_model("colbert", tmp_path / "own", again, {}).checkpoint.query_length == 24
    assert "queries are read" not in capsys.readouterr().err
    splade = new_model("splade", bert, Start(queries=queries(50)), {})
    assert isinstance(splade, Splade)
    assert splade.checkpoint.query_length == 56


def test_of_many_examples_so_many_are_looked_at_evenly(bert: Path) -> None:
    examples = Examples.of([Example("tea", f"the sea {n}", ()) for n in range(3 * LOOKED_AT)])
    found = count_cut(examples, ColBERT.from_base(bert).preparer, 128)
    assert found["of_queries"] == 1
    assert found["of_documents"] == LOOKED_AT
