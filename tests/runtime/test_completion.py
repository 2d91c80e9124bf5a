"""`glane completion`: its scripts are loaded by the shells that are here, and complete words."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from glane.commands import completion, program
from glane.commands.completion import Described, Option
from glane.commands.main import main

SAMPLE = {
    "make": Described(
        "make it: a 'new' one",
        [
            Option(["-k", "--kind"], "what [it] is: 'a' or $b", ["red", "blue"], True),
            Option(["--file"], "a file", [], True),
            Option(["--quick"], "at once", [], False),
        ],
        ["up", "down"],
    ),
    "show": Described("show it", [], []),
}


@pytest.fixture(scope="module")
def commands() -> Mapping[str, Described]:
    return completion.described()


def words(script: str, typed: list[str]) -> list[str]:
    """Return what bash offers for the last of the words that are typed."""
    line = (
        f"{script}\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _glane; printf '%s\\n' "
        '"${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", line, "bash", "glane", *typed],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], ["make", "show", "--help", "--version"]),
        (["m"], ["make"]),
        (["--v"], ["--version"]),
        (["make", ""], ["up", "down"]),
        (["make", "d"], ["down"]),
        (["make", "-"], ["-k", "--kind", "--file", "--quick"]),
        (["make", "up", "--q"], ["--quick"]),
        (["make", "--kind", ""], ["red", "blue"]),
        (["make", "-k", "b"], ["blue"]),
        (["make", "--file", ""], []),
        (["make", "--quick", ""], []),
        (["show", ""], []),
        (["gone", "-"], []),
    ],
)
def test_bash_completes_commands_options_and_values(typed: list[str], offered: list[str]) -> None:
    assert words(completion.bash(SAMPLE), typed) == offered


def test_bash_completes_what_the_program_declares(commands: Mapping[str, Described]) -> None:
    script = completion.bash(commands)
    assert words(script, ["ind"]) == ["index"]
    assert "bm25" in words(script, ["index", "i", "--retriever", ""])
    assert words(script, ["search", "i", "--wh"]) == ["--where"]
    assert words(script, ["completion", "z"]) == ["zsh"]


def test_every_command_is_there_with_all_of_its_options(commands: Mapping[str, Described]) -> None:
    assert list(commands) == [*program.HEAVY, *program.LIGHT]
    for name in program.LIGHT:
        flags = {flag for option in commands[name].options for flag in option.flags}
        assert {"--help", "--json", "--threads"} <= flags
        assert all("%" not in option.about for option in commands[name].options)


def test_a_command_whose_extra_is_missing_is_its_name_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(program, "_find", missing)
    assert completion.described()["train"] == Described(program.HEAVY["train"], [], [])


@pytest.mark.parametrize("shell", list(completion.WRITERS))
def test_the_script_is_loaded_by_its_shell(
    shell: str, commands: Mapping[str, Described], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    for each in (SAMPLE, commands):
        file = tmp_path / "script"
        file.write_text(completion.WRITERS[shell](each) + "\n")
        before = "autoload -Uz compinit; compinit -u -D;" if shell == "zsh" else ""
        line = f"{before} source {file}"
        done = subprocess.run([shell, "-c", line], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_fish_completes_with_what_each_word_means() -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not here")
    for typed, offered in {
        "glane m": ["make\tmake it: a 'new' one"],
        "glane make --k": ["--kind\twhat [it] is: 'a' or $b"],
        "glane make --kind r": ["red\twhat [it] is: 'a' or $b"],
        "glane make d": ["down"],
    }.items():
        line = f"{completion.fish(SAMPLE)}\ncomplete -C '{typed}'"
        done = subprocess.run(["fish", "-c", line], capture_output=True, timeout=60, check=True)
        assert done.stdout.decode().splitlines() == offered


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["shell"] == "bash"
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == told["script"] + "\n"
