"""Folders that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from glane.store.folders import check_new, new_folder


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones included, with its text."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_appears_whole_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "index"
    with new_folder(target) as new:
        (new / "a").write_text("1")
        assert not target.exists()
        assert new.parent == target.parent
    assert contents(tmp_path) == {"deep/index/a": "1"}
    assert list(target.parent.iterdir()) == [target]


def test_an_old_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "index"
    target.mkdir()
    (target / "old").write_text("0")
    with new_folder(str(target), overwrite=True) as new:
        (new / "new").write_text("1")
        assert contents(target) == {"old": "0"}
    assert contents(target) == {"new": "1"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [True, False])
def test_an_error_leaves_nothing_behind_and_the_old_folder_intact(
    error: type[BaseException], old: bool, tmp_path: Path
) -> None:
    if old:
        (tmp_path / "index").mkdir()
        (tmp_path / "index" / "old").write_text("0")

    def write_half() -> None:
        with new_folder(tmp_path / "index", overwrite=True) as new:
            (new / "half").write_text("1")
            raise error

    with pytest.raises(error):
        write_half()
    assert contents(tmp_path) == ({"index/old": "0"} if old else {})
    assert len(list(tmp_path.iterdir())) == old


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_replaced(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("mine")
    with (
        pytest.raises(FileExistsError, match=r"'.*index' exists already"),
        new_folder(tmp_path / "index", overwrite=overwrite),
    ):
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"index": "mine"}


def test_an_existing_folder_is_refused_before_the_block_runs(tmp_path: Path) -> None:
    with (
        pytest.raises(
            FileExistsError, match=r"exists already; pass --overwrite \(`overwrite=True`\) to"
        ),
        new_folder(tmp_path),
    ):
        pytest.fail("the block must not run")
    check_new(tmp_path, overwrite=True)
    check_new(tmp_path / "gone")


@pytest.mark.parametrize("written", [True, False], ids=["with a file", "empty"])
def test_a_folder_made_by_somebody_else_meanwhile_is_kept(written: bool, tmp_path: Path) -> None:
    target = tmp_path / "index"

    def race() -> None:
        with new_folder(target):
            target.mkdir()
            if written:
                (target / "theirs").write_text("2")

    with pytest.raises(FileExistsError, match="exists already"):
        race()
    assert contents(tmp_path) == ({"index/theirs": "2"} if written else {})
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "old").write_text("0")
    (tmp_path / "current").symlink_to("v1")
    with new_folder(tmp_path / "current", overwrite=True) as new:
        (new / "new").write_text("1")
    assert (tmp_path / "current").is_symlink()
    assert contents(tmp_path / "v1") == {"new": "1"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_relative_path_is_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder("index") as new:
        (new / "a").write_text("1")
    assert contents(tmp_path) == {"index/a": "1"}


def test_the_folder_is_as_open_as_any_other(tmp_path: Path) -> None:
    with new_folder(tmp_path / "index"):
        pass
    (tmp_path / "plain").mkdir()
    assert os.stat(tmp_path / "index").st_mode == os.stat(tmp_path / "plain").st_mode
