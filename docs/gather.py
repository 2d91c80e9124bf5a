"""Gathers the pages of the site in a folder: those written by hand, and the reference.

Usage: python docs/gather.py [FOLDER]    by default build/pages, where zensical.toml looks for them

A page by hand stands where a reader of the repository looks for it; its links are turned into those
between pages. The reference is made of the public names and their docstrings.
"""

import argparse
import posixpath
import re
import shutil
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "examples/README.md": "examples.md",
    "recipes/README.md": "recipes.md",
}
"""Pages from outside of `docs`, and what they are called in the site."""

PICTURES = {f"docs/{file.name}": file.name for file in (ROOT / "docs").glob("*.svg")} | {
    f"benchmarks/results/{file.name}": f"benchmarks/results/{file.name}"
    for file in (ROOT / "benchmarks" / "results").glob("*.png")
}
"""Pictures of the pages, and where they are in the site."""

PUBLIC = {
    "glane": "Searches, without a GPU and without torch.",
    "glane_trainer": "Fine-tunes models, in PyTorch.",
    "glane_export": "Turns checkpoints into ONNX models.",
    "glane_serve": "Answers over HTTP, and as a function.",
}
"""The parts, each with a page of its public names."""

PLACED = {
    "glane": (
        "glane.integrations.haystack.GlaneRetriever",
        "glane.integrations.haystack.GlaneRanker",
        "glane.integrations.langchain.GlaneRetriever",
        "glane.integrations.langchain.GlaneReranker",
        "glane.integrations.llama_index.GlaneRetriever",
        "glane.integrations.llama_index.GlaneReranker",
        "glane.integrations.llama_index.GlaneSparseEmbedding",
        "glane.integrations.qdrant.QdrantSearch",
        "glane.integrations.postgres.PostgresSearch",
    ),
    "glane_serve": (
        "glane_serve.function.handler",
        "glane_serve.app.application",
        "glane_serve.app.from_environment",
        "glane_serve.service.Service",
        "glane_serve.settings.ServeSettings",
        "glane_serve.settings.Limits",
    ),
}
"""Public names that are imported from a module below their part."""

LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[#)])")


def main() -> None:
    """Write all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "pages")
    gather(parser.parse_args().folder)


def gather(folder: Path) -> None:
    """Write all pages into a folder, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = {f"docs/{page.name}": page.name for page in sorted((ROOT / "docs").glob("*.md"))}
    pages |= PAGES
    placed = pages | PICTURES
    for source, page in pages.items():
        write(folder / page, relinked((ROOT / source).read_text(encoding="utf-8"), source, placed))
    for source, picture in PICTURES.items():
        (folder / picture).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / source, folder / picture)
    for part, about in PUBLIC.items():
        write(folder / "reference" / f"{part}.md", reference(part, about))
    write(folder / "reference" / "commands.md", commands())


def write(file: Path, text: str) -> None:
    """Write a page, and the folders that it stands in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def relinked(text: str, source: str, pages: dict[str, str]) -> str:
    """Return a page whose links to other pages lead to where those stand in the site.

    Args:
        text: In Markdown.
        source: Where it is in the repository.
        pages: Every page's place in the repository, and in the site.
    """

    def to_page(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        if target not in pages:
            return link[1]
        return posixpath.relpath(pages[target], posixpath.dirname(pages[source]) or ".")

    return LINK.sub(to_page, text)


def names(part: str) -> list[str]:
    """Return the public names of a part, in full."""
    own = getattr(import_module(part), "__all__", [])
    return [*(f"{part}.{name}" for name in sorted(own)), *PLACED.get(part, ())]


def reference(part: str, about: str) -> str:
    """Return the page of a part: mkdocstrings puts the docstrings in."""
    return "\n\n".join([f"# {part}", about, *(f"::: {name}" for name in names(part))]) + "\n"


def commands() -> str:
    """Return the page of all commands: what `--help` says."""
    from glane.commands import program

    lines = ["# Commands", "What `--help` says of each."]
    for name in [*program.LIGHT, *program.HEAVY]:
        parser = program.parser_of(name)
        parser.formatter_class = partial(program.Defaults, width=100)  # a page has no terminal
        lines += [f"## glane {name}", f"```text\n{parser.format_help().rstrip()}\n```"]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
