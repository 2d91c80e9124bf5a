"""The packages of the base install, each with its version and licence, as a table of Markdown.

Usage: python benchmarks/licences.py      in an environment that has the base

What a package says of itself is told as it is (`importlib.metadata`): its licence as an expression
of SPDX, or else in its own words. `make sbom` writes the same packages in CycloneDX's form.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageMetadata, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print the table."""
    print("| package | version | licence |\n|---|---|---|")
    for name in base():
        about = metadata(name)
        print(f"| {name} | {about['Version']} | {licence(about)} |")


def base() -> list[str]:
    """Return the names of all packages that glane needs to search, on this system, in order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    left = [Requirement(line) for line in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        for extra in {"", *one.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needed = map(Requirement, requires(name) or ())
            left += [each for each in needed if holds(each, extra)]
    return sorted({name for name, _ in seen})


def holds(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement is one on this system, for an extra or, if "", without any."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def licence(about: PackageMetadata) -> str:
    """Return what a package says of its licence."""
    if said := about.get("License-Expression") or about.get("License"):
        return said.strip().splitlines()[0]
    classifiers = about.get_all("Classifier") or []
    named = [each.split(" :: ")[-1] for each in classifiers if each.startswith("License ::")]
    return ", ".join(named) or "not said"


if __name__ == "__main__":
    main()
