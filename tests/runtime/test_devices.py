"""What a model runs on: the choice, on machines that have no choice."""

import logging
import pickle
from pathlib import Path

import pytest

from glane import ColBERT, SparseEmbed, Splade
from glane.commands.main import main
from glane.errors import CheckpointError
from glane.model import devices
from glane.model.devices import check_device, check_used, installed, providers
from glane.model.session import load_session, onnxruntime

FIXTURES = Path(__file__).parents[1] / "fixtures"
PLACE = Path(str(onnxruntime().__file__)).parents[1]

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", [CUDA, CPU], [CUDA, CPU]),
        ("auto", [COREML, CPU], [CPU]),
        ("cpu", [CUDA, CPU], [CPU]),
        ("cuda", [CUDA, CPU], [CUDA, CPU]),
        ("coreml", [COREML, CPU], [COREML, CPU]),
    ],
)
def test_the_providers_of_a_device(
    device: devices.Device, available: list[str], expected: list[str]
) -> None:
    assert providers(device, available, PLACE) == expected


def test_a_device_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(CheckpointError, match="pip install onnxruntime-gpu") as caught:
        providers("cuda", [CPU], PLACE)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="'coreml' is not there: it needs macOS"):
        providers("coreml", [CPU], PLACE)


def test_a_device_without_its_driver_is_refused_where_it_was_asked_for() -> None:
    check_used("cuda", [CUDA, CPU])
    check_used("auto", [CPU])
    with pytest.raises(CheckpointError, match="'cuda' cannot be used here"):
        check_used("cuda", [CPU])


def test_both_builds_at_once_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("onnxruntime", "onnxruntime-1.32.0.dist-info", "onnxruntime_gpu-1.32.0.dist-info"):
        (tmp_path / name).mkdir()
    assert installed(tmp_path) == ["onnxruntime", "onnxruntime_gpu"]
    with pytest.raises(CheckpointError, match=r"are both installed.*pip uninstall -y onnxruntime "):
        providers("cuda", [CPU], tmp_path)
    with caplog.at_level(logging.WARNING, logger="glane"):
        assert providers("cpu", [CPU], tmp_path) == [CPU]
    assert [record.message for record in caplog.records] == [devices.BOTH]


def test_one_build_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    assert len(installed(PLACE)) == 1
    providers("cpu", [CPU], PLACE)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("kind", "name"), [(ColBERT, "colbert"), (Splade, "splade"), (SparseEmbed, "sparse-embed")]
)
def test_every_kind_of_model_takes_a_device(
    kind: type[ColBERT] | type[Splade] | type[SparseEmbed], name: str
) -> None:
    model = kind.load(FIXTURES / name, device="cpu", threads=1)
    assert model.encoder.device == "cpu"
    assert len(model.encode_queries(["sea"])) == 1
    with pytest.raises(ValueError, match=r"device must be one of .*'cuda'.* got 'gpu'"):
        kind.load(FIXTURES / name, device="gpu")  # type: ignore[arg-type]


def test_a_device_travels_with_a_pickled_model() -> None:
    model = ColBERT.load(FIXTURES / "colbert", device="cpu")
    assert pickle.loads(pickle.dumps(model.encoder)).device == "cpu"


def test_an_environment_decides_what_auto_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(devices.VARIABLE, "tpu")
    with pytest.raises(ValueError, match="got GLANE_DEVICE as 'tpu'"):
        check_device("auto")
    assert check_device("cpu") == "cpu"
    monkeypatch.setenv(devices.VARIABLE, "coreml")
    assert check_device("auto") == "coreml"
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "sea"}\n')
    argv = ["index", str(tmp_path / "index"), "--documents", str(tmp_path / "corpus.jsonl")]
    assert main([*argv, "--retriever", "bm25", "--reranker", str(FIXTURES / "colbert")]) == 1
    error = capsys.readouterr().err
    assert "device 'coreml' is not there" in error
    assert error.count("\n") == 1


def test_a_session_on_the_cpu_runs_on_the_cpu() -> None:
    session = load_session(FIXTURES / "colbert" / "model.onnx", 1, device="auto")
    assert session.get_providers()[-1] == CPU


@pytest.mark.cuda
def test_cuda_gives_what_the_cpu_gives() -> None:
    """With onnxruntime-gpu in the place of onnxruntime, on a machine with a GPU."""
    from glane.retrievers.canary import cosine, encoded

    if CUDA not in onnxruntime().get_available_providers():
        pytest.skip("onnxruntime has no CUDA here")
    for name, kind in (("colbert", ColBERT), ("splade", Splade), ("sparse-embed", SparseEmbed)):
        rows = [
            encoded(kind.load(FIXTURES / name, device=device), "document", ["the sea", "?!", ""])
            for device in ("cpu", "cuda")
        ]
        assert min(cosine(left, right) for left, right in zip(*rows, strict=True)) > 0.999
