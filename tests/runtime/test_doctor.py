"""`glane doctor`: what it tells of the machine, of what is installed, and of what is missing."""

import json
import os
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from glane.commands import doctor, installed, speed
from glane.commands.main import main
from glane.commands.program import HEAVY
from glane.model import processor
from glane.model.processor import INSTRUCTIONS, instructions_in, parsed

ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / "tests" / "fixtures" / "colbert-int8")

REQUIREMENTS = [
    "numpy>=2.0",
    "glane-torch>=2.6; extra == 'train'",
    'numpy>=2; extra == "train"',
    "numpy; extra == 'data'",
    "glane-torch>=2.6; extra == 'demo'",
    "other; extra == 'all'",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure one call each."""
    for name in ("maxsim_speed", "encoding_speed"):
        timed = getattr(speed, name)
        monkeypatch.setattr(doctor, name, lambda *given, timed=timed: timed(*given, seconds=0))


def told(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["doctor", *argv, "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def test_the_machine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    result = told(["--threads", "1"], capsys)
    assert result["threads"] == 1
    assert result["processors"] == os.cpu_count()
    assert result["glane"] == version("glane")
    assert result["versions"]["numpy"] == version("numpy")
    assert set(result["instructions"] or []) <= set(INSTRUCTIONS)
    assert all(free > 0 for free in result["disk_free_bytes"].values())
    assert result["memory_bytes"]["total"] > 0
    assert result["maxsim"]["milliseconds"] > 0
    assert result["encoding"] is None


def test_a_model_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    result = told(["--model", MODEL, "--threads", "1"], capsys)["encoding"]
    assert (result["model"], result["n_words"]) == (MODEL, 60)
    assert result["documents_per_second"] > 0
    assert main(["doctor", "--model", MODEL, "--threads", "1"]) == 0
    assert "documents of 60 words encoded a second" in capsys.readouterr().out


def test_what_is_no_model_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_every_package_of_an_extra_is_there_or_missing(capsys: pytest.CaptureFixture[str]) -> None:
    result = told([], capsys)
    assert list(result["extras"]) == list(installed.SERVES)
    for extra, versions in result["extras"].items():
        for package, found in versions.items():
            try:
                assert found == version(package)
            except PackageNotFoundError:
                assert package in result["missing"][extra]["packages"]
    assert all(
        lack["install"] == f"pip install 'glane[{extra}]'"
        for extra, lack in result["missing"].items()
    )


def test_what_is_missing_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "extras", lambda: installed.extras(REQUIREMENTS))
    result = told([], capsys)
    assert result["extras"]["train"] == {"glane-torch": None, "numpy": version("numpy")}
    assert result["missing"]["train"]["packages"] == ["glane-torch"]
    assert "data" not in result["missing"]
    assert result["missing"]["mcp"]["packages"] == [], "an extra that this glane does not know"
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (train,) = [line for line in lines if "glane train," in line]
    assert train.startswith("lacks")
    assert train.endswith(": pip install 'glane[train]'")
    (data,) = [line for line in lines if "Parquet" in line]
    assert data == f"has        {installed.SERVES['data']} (numpy {version('numpy')})"


def test_every_command_that_needs_an_extra_says_which() -> None:
    assert set(installed.COMMANDS) == set(HEAVY) - {"push", "shard"}  # engines have one each; none
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*installed.SERVES, "all"} == set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("flags : fpu avx2 avx512_vnni sse\n", ["avx2", "avx512_vnni"]),
        ("Features\t: fp asimd asimddp sve2", ["asimd", "asimddp", "sve2"]),
        ("flags : fpu", []),
        (
            "hw.optional.neon: 1\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_BF16: 0",
            ["asimd", "asimddp"],
        ),
        ("hw.optional.avx2_0: 1\nhw.optional.avx512f: 0", ["avx2"]),
        ("machdep.cpu.brand_string: Apple M1", None),
        ("", None),
    ],
)
def test_instructions_are_read_as_linux_and_macos_tell_them(
    text: str, wanted: list[str] | None
) -> None:
    assert instructions_in(parsed(text)) == wanted


def test_a_system_that_tells_nothing_has_a_name_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPU_FILE", tmp_path / "nothing")
    monkeypatch.setattr(processor, "SYSCTL", tmp_path / "nothing")
    name, instructions = processor.processor()
    assert name
    assert instructions is None


def test_sysctl_is_asked_where_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sysctl"
    program.write_text("#!/bin/sh\necho machdep.cpu.brand_string: M1\necho hw.optional.neon: 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(processor, "CPU_FILE", tmp_path / "nothing")
    monkeypatch.setattr(processor, "SYSCTL", program)
    assert processor.processor() == ("M1", ["asimd"])


def test_memory_is_that_of_the_machine_and_of_the_container(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  2048 kB\nMemAvailable: 1024 kB\nHugePages_Total: 0\n")
    known = {"total": 2 << 20, "available": 1 << 20}
    assert doctor.memory(file, tmp_path) == {**known, "limit": None}
    (tmp_path / "memory").mkdir()
    old = tmp_path / "memory" / "memory.limit_in_bytes"
    for text, limit in (("9223372036854771712", None), ("4096\n", 4096)):
        old.write_text(text)
        assert doctor.memory(file, tmp_path)["limit"] == limit
    (tmp_path / "memory.max").write_text("max\n")
    old.unlink()
    assert doctor.memory(file, tmp_path)["limit"] is None
    without = doctor.memory(tmp_path / "gone", tmp_path)
    assert without["available"] is None
    assert without["total"] is None or without["total"] > 0
