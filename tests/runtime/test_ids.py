"""The one rule of ids where files meet, and that Python's `Search` keeps both forms apart."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, Search
from glane.collection.ids import all_ids, as_stored, find_ids, in_both_forms, other_form
from glane.commands.main import main
from glane.store.names import Name, Names

IDS = st.one_of(
    st.integers(), st.integers().map(str), st.text(max_size=3), st.sampled_from(["007", "-0", "+7"])
)


@given(IDS)
def test_an_id_has_at_most_one_other_form_and_it_is_mutual(id: Name) -> None:
    other = other_form(id)
    assert other is None or (str(other) == str(id) and other_form(other) == id)
    assert isinstance(other, str if isinstance(id, int) else int | None)


@pytest.mark.parametrize("id", ["007", "+7", "-0", " 7", "7 ", "7.0", "٣", "", "1_0", "9" * 101])
def test_what_python_would_not_write_is_text_alone(id: str) -> None:
    assert other_form(id) is None


@settings(deadline=None)
@given(st.lists(IDS, unique_by=lambda id: (type(id), id), max_size=8), st.lists(IDS, max_size=8))
def test_an_id_is_found_in_the_form_that_is_given_before_the_other(
    stored: list[Name], asked: list[Name]
) -> None:
    names = Names()
    names.add(stored)
    asked = [*asked, *stored]
    known = {(type(id), id) for id in stored}
    expected = []
    for id in asked:
        other = other_form(id)
        use_other = (type(id), id) not in known and (type(other), other) in known
        expected.append(other if use_other and other is not None else id)
    found = as_stored(names, asked)
    assert [(type(id), id) for id in found] == [(type(id), id) for id in expected]
    assert (find_ids(names, asked) == names.find(expected)).all()
    assert all_ids(names) == stored
    both = in_both_forms(names)
    assert (both is not None) == any((str, str(i)) in known for i in stored if isinstance(i, int))


def test_search_keeps_both_forms_apart_and_evaluate_tells_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(BM25())
    search.add([{"id": 1, "text": "tea"}, {"id": "1", "text": "sea"}])
    assert search.search(["tea", "sea"]).ids == [[1], ["1"]]
    search.save(tmp_path / "index")
    (tmp_path / "q.tsv").write_text("7\ttea\n")
    (tmp_path / "qrels").write_text("7 0 1 1\n")
    files = ["--queries", str(tmp_path / "q.tsv"), "--qrels", str(tmp_path / "qrels")]
    argv = ["evaluate", "--index", str(tmp_path / "index"), *files, "--metrics", "hits@1"]
    assert main(argv) == 1
    assert "holds both 1 and '1'" in capsys.readouterr().err
    assert main(["delete", str(tmp_path / "index"), "1"]) == 0
    assert main(argv) == 0
    assert "hits@1       1.0000" in capsys.readouterr().out


def test_an_index_that_holds_both_forms_takes_the_one_that_is_given(tmp_path: Path) -> None:
    search = Search(BM25())
    search.add([{"id": 1, "text": "tea"}, {"id": "1", "text": "sea"}])
    search.save(tmp_path / "index")
    (tmp_path / "x.csv").write_text("id,text\n1,stone\n")
    assert main(["add", str(tmp_path / "index"), "--documents", str(tmp_path / "x.csv")]) == 0
    assert Search.load(tmp_path / "index").search(["tea", "stone"]).ids == [[1], ["1"]]
