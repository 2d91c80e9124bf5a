"""Snowball's stemmers for the browser, made of the generated ones that are installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import snowballstemmer

from glane.analysis.samples import SAMPLE_WORDS
from glane.analysis.stopwords import STOP_WORDS
from glane_export.web.javascript import NotCarried, classes
from glane_export.web.refusing import NotForBrowsers

PACKAGE = "snowballstemmer"

BASE = ("among", "basestemmer")
"""What all stemmers share."""


def write_stemmers(languages: Iterable[str], folder: Path) -> None:
    """Write a module for each language, and what they share, with the licence of their source.

    Args:
        languages: As Snowball calls them.
        folder: Made here.

    Raises:
        NotForBrowsers: If the rules of one cannot be carried, or are not those that stemmed the
            index.
    """
    folder.mkdir()
    source = distribution(PACKAGE)
    head = f"// Made of {PACKAGE} {source.version}, https://snowballstem.org; see COPYING.\n"
    base = "\n".join(classes(_source(name)) for name in BASE)
    (folder / "base.js").write_text(f"{head}{base}\n", "utf-8")
    for language in languages:
        _check_same(language)
        (folder / f"{language}.js").write_text(head + _module(language), "utf-8")
    licences = [file for file in source.files or [] if file.name == "COPYING"]
    for licence in licences:
        (folder / "COPYING").write_text(licence.read_text("utf-8"), "utf-8")


def _module(language: str) -> str:
    try:
        body = classes(_source(f"{language}_stemmer"))
    except NotCarried as error:
        raise NotForBrowsers(
            f"Snowball's rules for {language} cannot be carried to a browser: {error}; index "
            'with another language, or with "none"'
        ) from None
    name = _class_name(language)
    return f'import {{ Among, BaseStemmer }} from "./base.js";\n{body}\nexport default {name};\n'


def _class_name(language: str) -> str:
    return "".join(part.capitalize() for part in language.split("_")) + "Stemmer"


def _source(module: str) -> str:
    path = import_module(f"{PACKAGE}.{module}").__file__
    assert path is not None, "the package lies in files"
    return Path(path).read_text("utf-8")


def _check_same(language: str) -> None:
    """Refuse rules that are not those of PyStemmer, where that is installed and stems indexes."""
    module = import_module(f"{PACKAGE}.{language}_stemmer")
    carried = getattr(module, _class_name(language))().stemWord
    used = snowballstemmer.stemmer(language).stemWord
    words = f"{STOP_WORDS.get(language, '')} {SAMPLE_WORDS.get(language, '')}".split()
    other = next((word for word in words if carried(word) != used(word)), None)
    if other is not None:
        raise NotForBrowsers(
            f"PyStemmer and {PACKAGE} stem {other!r} differently: {used(other)!r} and "
            f"{carried(other)!r}; install versions of one release of Snowball"
        )
