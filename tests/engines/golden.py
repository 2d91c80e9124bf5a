"""The files of a small index for each engine: `python -m tests.engines.golden` writes them anew."""

import tempfile
from pathlib import Path

from glane import BM25, ColBERT, Search, Splade
from glane.integrations.pushed import Pushed
from glane_engines import lucene, vespa

FIXTURES = Path(__file__).parents[1] / "fixtures"
GOLDEN = FIXTURES / "engines"

ENGINES = ("elasticsearch", "opensearch", "vespa")

DOCUMENTS = [
    {"id": "leaf", "text": "tea leaf"},
    {"id": "a/b é", "text": "stone river " * 9 + "tea"},
    {"id": "empty", "text": ""},
]
"""The second is of two passages."""


def write(folder: Path, index: Path) -> None:
    """Write what each engine gets, of BM25 and ColBERT, and of SPLADE alone."""
    reranker = ColBERT.load(FIXTURES / "colbert", threads=1)
    both = Search(BM25(), reranker=reranker, keep_documents=True)
    alone = Search(Splade.load(FIXTURES / "splade", threads=1), passages=False)
    for name, search in (("both", both), ("alone", alone)):
        search.add(DOCUMENTS)
        search.save(index / name)
        pushed = Pushed(index / name, threads=1)
        for engine in ENGINES:
            if engine == "vespa":
                vespa.write(pushed, folder / f"{engine}-{name}")
            else:
                lucene.write(pushed, engine, folder / f"{engine}-{name}")


def plain(folder: Path, own: Path) -> str:
    """Return a file's text, without what stands for the index's state: each has another."""
    text = (folder / own).read_text("utf-8")
    states = [line.split('"')[3] for line in text.splitlines() if '"@state"' in line]
    states += [line.split('"')[3] for line in text.splitlines() if '"glane": "' in line]
    for state in states:
        text = text.replace(state, "STATE")
    return text


def main() -> None:
    """Write the golden files."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder / "files", folder)
        for path in sorted((folder / "files").rglob("*.*")):
            if path.suffix != ".onnx":
                own = path.relative_to(folder / "files")
                (GOLDEN / own).parent.mkdir(parents=True, exist_ok=True)
                (GOLDEN / own).write_text(plain(folder / "files", own), encoding="utf-8")


if __name__ == "__main__":
    main()
