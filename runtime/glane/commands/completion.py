"""`glane completion`: print what lets a shell complete the words of a call.

It is made of the very arguments that the commands declare; a command whose extra is not installed
is completed by its name alone.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from glane.commands import program


class Option(NamedTuple):
    """An option of a command.

    Attributes:
        flags: As they are typed.
        about: What it is, in a line.
        choices: Its values, where they are few.
        takes_value: Whether a value follows.
    """

    flags: list[str]
    about: str
    choices: list[str]
    takes_value: bool


class Described(NamedTuple):
    """What may be typed of a command.

    Attributes:
        about: What it does, in a line.
        options: All of them.
        words: What its first word may be, where there are few; otherwise it is a file.
    """

    about: str
    options: list[Option]
    words: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "shell",
        choices=list(WRITERS),
        help="whose script it is, to be written into a file, such as "
        "~/.local/share/bash-completion/completions/glane, ~/.config/fish/completions/glane.fish, "
        "or _glane in a folder of zsh's fpath",
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Write the script."""
    return {"shell": arguments.shell, "script": WRITERS[arguments.shell](described())}


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    return str(result["script"])


def described() -> dict[str, Described]:
    """Return every command by its name."""
    summaries = {**program.HEAVY, **program.LIGHT}
    return {name: _described(name, about) for name, about in summaries.items()}


def _described(name: str, about: str) -> Described:
    try:
        actions = program.parser_of(name)._actions
    except ModuleNotFoundError:  # its extra is not installed
        return Described(about, [], [])
    options = [_option(action) for action in actions if action.option_strings]
    named = (action for action in actions if not action.option_strings)
    first = next(named, None)
    return Described(about, options, _choices(first) if first else [])


def _option(action: argparse.Action) -> Option:
    about = (action.help or "").partition(";")[0].replace("%%", "%")
    return Option(list(action.option_strings), about, _choices(action), action.nargs != 0)


def _choices(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def bash(commands: Mapping[str, Described]) -> str:
    """Return the script for bash; where no word fits, files are offered."""
    options, values, first = [], [], []
    for name, command in commands.items():
        for option in command.options:
            if option.takes_value:
                pattern = "|".join(f'"{name} {flag}"' for flag in option.flags)
                values.append(f'        {pattern}) words="{" ".join(option.choices)}" ;;')
        flags = [flag for option in command.options for flag in option.flags]
        options.append(f'        {name}) words="{" ".join(flags)}" ;;')
        if command.words:
            first.append(f'        "{name} {name}") words="{" ".join(command.words)}" ;;')
    return "\n".join(
        [
            "_glane() {",
            '    local words="" word=${COMP_WORDS[COMP_CWORD]}',
            '    if [[ $word == -* ]]; then case "${COMP_WORDS[1]}" in',
            *options,
            "    esac",
            '    else case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in',
            *values,
            *first,
            "    esac",
            "    fi",
            f'    [ "$COMP_CWORD" = 1 ] && words="{" ".join([*commands, "--help", "--version"])}"',
            '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
            "}",
            "complete -o default -F _glane glane",
        ]
    )


def zsh(commands: Mapping[str, Described]) -> str:
    """Return the script for zsh, with what each word means."""
    names = [shlex.quote(f"{name}:{command.about}") for name, command in commands.items()]
    cases = []
    for name, command in commands.items():
        first = [f"1:word:({' '.join(command.words)})"] if command.words else []
        told = [*first, *map(_for_zsh, _each_flag(command)), "*:file:_files"]
        cases.append(f"        {name}) _arguments {' '.join(map(shlex.quote, told))} ;;")
    return "\n".join(
        [
            "#compdef glane",
            "_glane() {",
            "    local -a commands",
            f"    commands=({' '.join(names)})",
            "    if (( CURRENT == 2 )); then _describe command commands; return; fi",
            "    shift words; (( CURRENT-- ))",
            "    case $words[1] in",
            *cases,
            "    esac",
            "}",
            'if [ "$funcstack[1]" = _glane ]; then _glane "$@"; else compdef _glane glane; fi',
        ]
    )


def fish(commands: Mapping[str, Described]) -> str:
    """Return the script for fish, with what each word means."""
    lines = [
        f"complete -c glane -n __fish_use_subcommand -f -a {name} -d {_fish_quoted(command.about)}"
        for name, command in commands.items()
    ]
    for name, command in commands.items():
        here = f"complete -c glane -n '__fish_seen_subcommand_from {name}'"
        if command.words:
            lines.append(f"{here} -f -a {shlex.quote(' '.join(command.words))}")
        lines += [f"{here} {_for_fish(option)}" for option in command.options]
    return "\n".join(lines)


def _each_flag(command: Described) -> list[tuple[str, Option]]:
    return [(flag, option) for option in command.options for flag in option.flags]


def _for_zsh(named: tuple[str, Option]) -> str:
    flag, option = named
    about = option.about
    for special in ("\\", "[", "]", ":"):
        about = about.replace(special, f"\\{special}")
    value = f"({' '.join(option.choices)})" if option.choices else "_files"
    return f"{flag}[{about}]" + (f":value:{value}" if option.takes_value else "")


def _for_fish(option: Option) -> str:
    flags = [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.choices:
        flags.append(f"-x -a {shlex.quote(' '.join(option.choices))}")
    elif option.takes_value:
        flags.append("-r")
    return " ".join([*flags, "-d", _fish_quoted(option.about)])


def _fish_quoted(text: str) -> str:
    """Return a text as fish reads it: between single quotes, with its own escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


WRITERS = {"bash": bash, "zsh": zsh, "fish": fish}
"""What writes the script of each shell."""
