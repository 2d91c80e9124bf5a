"""`glane export --web` as it is called, and what it refuses; no browser is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.web.conftest import FIXTURES

from glane import BM25, ColBERT, Search, Splade, TfIdf
from glane.analysis import Analyzer
from glane.commands.main import main
from glane.retrievers.contract import Reranker, Retriever
from glane.store.arrays import read_arrays
from glane_export.web import NotForBrowsers, WebSettings, export_web
from glane_export.web.javascript import NotCarried, classes
from glane_export.web.patterns import Patterns

DOCUMENTS = [{"id": "a", "text": "Green tea."}, {"id": "b", "text": "Tea"}, {"id": "c", "text": ""}]


def saved(path: Path, retriever: Retriever, reranker: Reranker | None = None) -> Path:
    search = Search(retriever, reranker=reranker, key="id", on="text")
    search.add(DOCUMENTS)
    search.save(path / "index")
    return path / "index"


def test_the_command_tells_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, folder = saved(tmp_path, BM25()), tmp_path / "web"
    assert main(["export", "--web", str(index), str(folder)]) == 0
    assert "3 documents by bm25," in capsys.readouterr().out
    assert main(["export", "--web", str(index), str(folder)]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["export", "--web", str(index), str(folder), "--overwrite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reranker"] is None
    assert all((folder / name).stat().st_size == size for name, size in told["files"].items())
    assert not (folder / "runtime").exists()


def test_weights_are_those_that_a_search_adds(tmp_path: Path) -> None:
    index = saved(tmp_path, BM25(k1=1.2))
    export_web(index, tmp_path / "web")
    arrays = read_arrays(tmp_path / "web" / "postings.bin")
    terms = json.loads((tmp_path / "web" / "terms.json").read_text("utf-8"))
    scores = Search.load(index).search(["tea"]).scores[0]
    place = terms.index("tea")
    stretch = slice(*arrays["offsets"][place : place + 2])
    assert sorted(arrays["values"][stretch].tolist(), reverse=True) == scores
    assert arrays["owners"].tolist() == [0, 1, 2, 3]


def test_torch_is_not_imported(tmp_path: Path) -> None:
    index = saved(tmp_path, BM25())
    program = (
        "import sys; from glane.commands.main import main; "
        f"main(['export', '--web', {str(index)!r}, {str(tmp_path / 'web')!r}]); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'onnx')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_what_no_browser_can_search_is_refused_in_one_line(tmp_path: Path) -> None:
    refused: dict[str, tuple[Retriever, Reranker | None]] = {
        "TfIdf": (TfIdf(), None),
        "Splade": (Splade.load(FIXTURES / "splade"), None),
        "ColBERT": (ColBERT.load(FIXTURES / "colbert"), None),
        "the rules 1": (BM25(analyzer=Analyzer(rules=1)), None),
    }
    for number, (named, stages) in enumerate(refused.items()):
        (tmp_path / str(number)).mkdir()
        index = saved(tmp_path / str(number), *stages)
        with pytest.raises(NotForBrowsers, match=named) as refusal:
            export_web(index, tmp_path / "web")
        assert "\n" not in str(refusal.value)
        assert not (tmp_path / "web").exists()


def test_a_large_number_as_id_is_refused(tmp_path: Path) -> None:
    search = Search(BM25(), key="id", on="text")
    search.add([{"id": 2**53, "text": "tea"}])
    search.save(tmp_path / "index")
    with pytest.raises(NotForBrowsers, match="9007199254740992"):
        export_web(tmp_path / "index", tmp_path / "web")


def test_another_runtime_is_refused(tmp_path: Path) -> None:
    index = saved(tmp_path, BM25(), ColBERT.load(FIXTURES / "colbert"))
    package = tmp_path / "package"
    (package / "dist").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="--runtime takes the folder of the npm package"):
        export_web(index, tmp_path / "web", WebSettings(runtime=str(package)))
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (package / "dist" / name).touch()
    record = {"name": "onnxruntime-web", "version": "1.0.0"}
    (package / "package.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(ValueError, match=r"is onnxruntime-web@1\.0\.0; --runtime takes"):
        export_web(index, tmp_path / "web", WebSettings(runtime=str(package)))
    assert not (tmp_path / "web").exists()


def test_runtime_goes_with_web_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "checkpoint", "model", "--runtime", "folder"]) == 2
    assert "it goes with --web" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["with x: pass", "return lambda: 1", "a = b = 1", "return [x for x in y]", "return x[:2]"],
)
def test_python_that_is_not_known_is_refused(line: str) -> None:
    with pytest.raises(NotCarried):
        classes(f"class A(B):\n    def f(self, x, y):\n        {line}")


def test_a_pattern_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="flags"):
        Patterns().pattern(r"(?i)a")
    with pytest.raises(ValueError, match="GROUPREF"):
        Patterns().pattern(r"(a)\1")
