"""The house of the runtime: few rooms at the top, arrows that run down, and no circle."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

import glane

SOURCE = Path(glane.__file__).parent

FLOORS = (
    ("__main__",),
    ("__init__", "commands"),
    ("integrations",),
    ("search",),
    ("retrievers",),
    ("postings",),
    ("analysis", "evaluation", "maxsim"),
    ("collection", "vectors"),
    ("store",),
    ("hits", "model", "ragged"),
    ("errors", "moved", "threads", "types"),
)
"""Files and folders of the runtime from the top down; each imports from lower floors alone."""

MOST_ROOMS = 20

Graph = Mapping[str, set[str]]


def modules(source: Path) -> dict[str, Path]:
    """Return the modules below a package by their names, the package itself left out of them."""
    return {
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
        for path in source.rglob("*.py")
    }


def imports(source: Path) -> dict[str, set[str]]:
    """Return which modules of the package each module imports, late imports included."""
    known = modules(source)
    return {name: imported(path.read_text(), known) - {name} for name, path in known.items()}


def imported(text: str, known: Mapping[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            module = node.module.removeprefix("glane").removeprefix(".")
            if node.module.partition(".")[0] != "glane":
                continue
            names = [f"{module}.{alias.name}".strip(".") for alias in node.names]
            found |= {name if name in known else module for name in names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name[6:] for name in names if name.startswith("glane.")}
    return found & known.keys()


def rooms(graph: Graph) -> dict[str, set[str]]:
    """Return the same between files and folders at the top."""
    drawn: dict[str, set[str]] = {}
    for name, others in graph.items():
        room = name.partition(".")[0]
        drawn.setdefault(room, set()).update(other.partition(".")[0] for other in others)
    return {room: others - {room} for room, others in drawn.items()}


def circle(graph: Graph) -> set[str]:
    """Return the names that are on a circle, or only lead into one."""
    left = {name: set(others) for name, others in graph.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return set(left)


def upward(graph: Graph) -> list[str]:
    """Return the arrows between rooms that do not run down."""
    floor = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    return [
        f"{room} imports {other}"
        for room, others in graph.items()
        for other in others
        if floor[other] <= floor[room]
    ]


def test_the_top_has_few_rooms_and_every_one_has_its_floor() -> None:
    found = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if is_room(path)}
    assert found == {room for floor in FLOORS for room in floor}
    assert len(found) <= MOST_ROOMS


def is_room(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")


def test_arrows_run_down() -> None:
    assert upward(rooms(imports(SOURCE))) == []


def test_no_modules_import_one_another() -> None:
    assert circle(imports(SOURCE)) == set()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("hits.py", "from glane.retrievers import fusion"),
        ("store/names.py", "def late():\n    from glane.search import Search"),
        ("retrievers/contract.py", "import glane.retrievers.registry"),
    ],
)
def test_a_planted_arrow_is_found(name: str, line: str, tmp_path: Path) -> None:
    for path in SOURCE.rglob("*.py"):
        target = tmp_path / path.relative_to(SOURCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        planted = line if str(path.relative_to(SOURCE)) == name else ""
        target.write_text(f"{path.read_text()}\n{planted}\n")
    graph = imports(tmp_path)
    assert upward(rooms(graph)) or circle(graph)


def test_former_names_are_the_modules_of_today() -> None:
    from importlib import import_module

    from glane.moved import FORMER

    for former, today in FORMER.items():
        module = import_module(f"glane.{today}")
        assert import_module(f"glane.{former}") is module
        assert module.__spec__ is not None
        assert module.__spec__.name == f"glane.{today}"
