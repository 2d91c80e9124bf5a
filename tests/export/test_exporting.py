"""From a checkpoint to a model folder: what is written, what is refused, what the user gets."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from tokenizers import Tokenizer

from glane import ColBERT, ModelInfo
from glane.commands.main import main
from glane.errors import CheckpointError
from glane.model.checkpoint import CHECKPOINT_FILES, fingerprint
from glane.model.saturation import saturates
from glane.retrievers.fusion import (
    UNSAID,
    FusionSettings,
    read_model_fusion,
    write_model_fusion,
)
from glane_export import (
    ExportSettings,
    ParityError,
    export_loaded,
    export_model,
    exporting,
)
from glane_export.graph import write_graph
from glane_export.quantize import Share, quantize
from glane_trainer import ColBERT as TorchColBERT
from glane_trainer.model import Model

Quantize = Literal["none", "int8"]

FP32 = ExportSettings(quantize="none")

TEXTS = ["", "?!", "the river runs to the sea", "日本語", "snow on the mountain " * 20, "🎉"]


def with_noise(path: Path) -> None:
    """Add noise to the widest weight of a graph."""
    model = onnx.load(str(path))
    tensor = max(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
    weight = numpy_helper.to_array(tensor).copy()
    noise = np.random.default_rng(0).normal(0, 0.3 * weight.std(), weight.shape)
    tensor.CopyFrom(numpy_helper.from_array((weight + noise).astype(weight.dtype), tensor.name))
    onnx.save(model, str(path))


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_export_keeps_every_bound(
    make_checkpoint: Callable[..., Path], tmp_path: Path, kind: str, quantize: Quantize
) -> None:
    source = make_checkpoint(kind=kind)
    report = export_model(source, tmp_path / "model", ExportSettings(quantize=quantize))
    assert all(bound["kept"] for bound in report["bounds"])
    assert len(report["bounds"]) == (6 if quantize == "int8" else 2)
    assert json.loads((tmp_path / "model" / "parity.json").read_text()) == report
    model, torch_model = ColBERT.load(tmp_path / "model"), TorchColBERT.load(source)
    for ours, theirs in (
        (model.encode_queries(TEXTS), torch_model.encode_queries(TEXTS)),
        (model.encode_documents(TEXTS), torch_model.encode_documents(TEXTS)),
    ):
        np.testing.assert_array_equal(ours.offsets, theirs.offsets)
        cosines = (ours.values * theirs.values).sum(1)
        assert cosines.min() > (0.9 if quantize == "int8" else 1 - 1e-6)


def test_the_folder_holds_what_the_runtime_reads(checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(checkpoint, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        *("canary.json", "glane.json", "model.json", "model.onnx", "parity.json"),
        *("text.json", "tokenizer.json"),
    ]
    info = ModelInfo.read(tmp_path / "model")
    assert (info.precision, info.opset) == ("int8", 17)
    assert info.checkpoint == fingerprint(checkpoint, CHECKPOINT_FILES)
    assert report["fingerprint"] == fingerprint(tmp_path / "model")


def test_what_a_training_found_of_fusion_goes_with_the_model(
    checkpoint: Path, tmp_path: Path
) -> None:
    own, asked = FusionSettings("relative", 0.4), FusionSettings(fuse_weight=0.1, candidates=7)
    write_model_fusion(own, checkpoint)
    for name, option, expected in (
        ("as found", UNSAID, own),
        ("as asked", asked, FusionSettings("relative", 0.1, 7)),
    ):
        export_model(checkpoint, tmp_path / name, replace(FP32, fusion=option))
        content = (tmp_path / name / "fusion.json").read_bytes()
        assert read_model_fusion(content, tmp_path / name) == expected
    (checkpoint / "fusion.json").write_text('{"fuse": "by chance"}')
    with pytest.raises(CheckpointError, match=r"fusion.json' says .*by chance"):
        export_model(checkpoint, tmp_path / "refused", FP32)


def test_fp32_and_int8_are_two_models(checkpoint: Path, tmp_path: Path) -> None:
    fp32 = export_model(checkpoint, tmp_path / "fp32", FP32)
    int8 = export_model(checkpoint, tmp_path / "int8")
    assert fp32["fingerprint"] != int8["fingerprint"]


def test_each_role_has_its_own_length(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = make_checkpoint(query_expansion=True, skip_punctuation=True)
    export_model(source, tmp_path / "model", FP32)
    model = ColBERT.load(tmp_path / "model")
    long = "the river runs to the sea " * 9
    assert np.diff(model.encode_queries(["sea", long]).offsets).tolist() == [12, 12]
    assert np.diff(model.encode_documents(["sea, sea", long]).offsets).tolist() == [4, 24]


def test_attention_to_expansion_travels_with_the_model(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    vectors = []
    for attend in (False, True):
        name = f"attend-{attend}"
        source = make_checkpoint(name, query_expansion=True, attend_to_expansion=attend)
        export_model(source, tmp_path / f"{name}-model", FP32)
        ours = ColBERT.load(tmp_path / f"{name}-model").encode_queries(["sea"]).values
        expected = TorchColBERT.load(source).encode_queries(["sea"]).values
        np.testing.assert_allclose(ours, expected, atol=1e-4)
        vectors.append(ours)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_noise_in_the_fp32_graph_fails_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantize: Quantize
) -> None:
    def sabotaged(model: Model[Any], path: Path, given: None) -> None:
        write_graph(model, path, given=given)
        with_noise(path)

    monkeypatch.setattr(exporting, "write_graph", sabotaged)
    with pytest.raises(ParityError, match=r"must be at most 0\.0001, worst for \w+ '"):
        export_model(checkpoint, tmp_path / "out" / "model", ExportSettings(quantize=quantize))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bad_quantization_fails_and_keeps_what_was_there(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_model(checkpoint, tmp_path / "out" / "model", FP32)
    before = fingerprint(tmp_path / "out" / "model")

    def sabotaged(source: Path, target: Path, bits: int) -> Share:
        target.write_bytes(source.read_bytes())
        with_noise(target)
        return Share(1, 1)

    monkeypatch.setattr(exporting, "quantize", sabotaged)
    with pytest.raises(
        ParityError, match=r"lowest cosine is \S+, must be at least 0\.9, worst for \w+ \'"
    ):
        export_model(checkpoint, tmp_path / "out" / "model", ExportSettings(overwrite=True))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]
    assert fingerprint(tmp_path / "out" / "model") == before


def test_a_model_in_memory_is_exported_as_its_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    model = TorchColBERT.load(checkpoint)
    report = export_loaded(model, tmp_path / "memory", FP32)
    assert (
        report["fingerprint"] == export_model(checkpoint, tmp_path / "files", FP32)["fingerprint"]
    )
    assert ModelInfo.read(tmp_path / "memory").checkpoint == ""


def test_the_tokenizer_neither_cuts_nor_pads(checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    export_model(checkpoint, tmp_path / "model", FP32)
    written = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert (written.truncation, written.padding) == (None, None)
    assert len(written.encode("sea " * 40).ids) > 40
    assert len(written.encode("a").ids) == 3


def test_a_tokenizer_that_cuts_nothing_stays_to_the_byte(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "model", FP32)
    files = [folder / "tokenizer.json" for folder in (checkpoint, tmp_path / "model")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match=r"`ExportSettings\(overwrite=True\)`"):
        export_model(tmp_path / "no checkpoint", tmp_path / "model")


def test_overwrite_replaces_a_model(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "model", FP32)
    export_model(checkpoint, tmp_path / "model", ExportSettings(overwrite=True))
    assert ModelInfo.read(tmp_path / "model").precision == "int8"


def test_int8_vectors_do_not_depend_on_their_batch(checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(checkpoint, tmp_path / "model")
    assert report["batch_dependent"] is False
    assert report["batch_effect"] < 1e-9
    model = ColBERT.load(tmp_path / "model", threads=1)
    together = model.encode_documents(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = model.encode_documents([text]).values
        np.testing.assert_allclose(together[row : row + 1].values, alone, atol=1e-5)


def test_a_quantization_that_depends_on_the_batch_is_found_out(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def dynamic(source: Path, target: Path, bits: int) -> Share:
        kind = QuantType.QUInt8 if saturates() else QuantType.QInt8
        quantize_dynamic(
            str(source), str(target), per_channel=True, weight_type=kind,
            op_types_to_quantize=["MatMul"], extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
        return Share(1, 1)

    monkeypatch.setattr(exporting, "quantize", dynamic)
    report = export_model(checkpoint, tmp_path / "model")
    info = ModelInfo.read(tmp_path / "model")
    assert info.batch_dependent
    assert report["batch_dependent"] is True
    assert 1e-7 < info.batch_effect < 0.2


def test_a_model_of_a_cpu_with_whole_products_is_noticed_on_one_that_saturates(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signed weights with the canaries of whole products: what a CPU with VNNI writes."""
    if not saturates():
        pytest.skip("this CPU's products come out whole")
    export_model(checkpoint, tmp_path / "fp32", FP32)
    report = export_model(checkpoint, tmp_path / "model")
    assert main(["info", str(tmp_path / "model"), "--verify"]) == 0
    quantize(tmp_path / "fp32" / "model.onnx", tmp_path / "model" / "model.onnx", unsigned=False)
    report["fingerprint"] = fingerprint(tmp_path / "model")
    (tmp_path / "model" / "parity.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert main(["info", str(tmp_path / "model"), "--verify"]) == 1
    assert "adds products of uint8 and int8 in 16 bits" in capsys.readouterr().err


def test_seven_bits_give_the_same_on_every_cpu(checkpoint: Path, tmp_path: Path) -> None:
    """Their products fit into 16 bits two by two, so that signed weights stay exact here too."""
    report = export_model(checkpoint, tmp_path / "model", ExportSettings(range="7bit"))
    assert "7 bits" in report["quantization"]
    weights = onnx.load(str(tmp_path / "model" / "model.onnx")).graph.initializer
    assert {TensorProto.INT8} <= {weight.data_type for weight in weights}
    assert "weights stored as uint8" not in report["quantization"]


def test_fp16_keeps_bounds_of_its_own(checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(checkpoint, tmp_path / "model", ExportSettings(quantize="fp16"))
    assert report["precision"] == "fp16"
    limits = {b["measure"]: b["limit"] for b in report["bounds"] if b["compared"] == "fp16 to fp32"}
    assert limits == {
        "mean cosine": 0.999,
        "lowest cosine": 0.99,
        "mean overlap of the first 10": 0.98,
    }
    model = onnx.load(str(tmp_path / "model" / "model.onnx"))
    assert TensorProto.FLOAT16 in {weight.data_type for weight in model.graph.initializer}
    assert ColBERT.load(tmp_path / "model").encode_queries(["sea"]).values.dtype == np.float32


def test_sparse_models_in_fp16(sparse_checkpoint: Path, tmp_path: Path) -> None:
    report = export_model(sparse_checkpoint, tmp_path / "model", ExportSettings(quantize="fp16"))
    assert all(bound["kept"] for bound in report["bounds"])


def test_a_share_of_int8_that_is_too_small_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hardly(source: Path, target: Path, bits: int) -> Share:
        target.write_bytes(source.read_bytes())
        return Share(7, 73)

    monkeypatch.setattr(exporting, "quantize", hardly)
    with pytest.raises(ParityError, match="7 of 73 products with weights are of integers"):
        export_model(checkpoint, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_texts_of_ones_own_are_measured(checkpoint: Path, tmp_path: Path) -> None:
    texts = [f"the {word} runs to the sea" for word in "abcdefghijklmnopqrst"]
    report = export_model(checkpoint, tmp_path / "model", ExportSettings(texts=texts))
    default = export_model(checkpoint, tmp_path / "default")
    assert report["bounds"][0]["n"] < default["bounds"][0]["n"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"texts": ["one"]}, "texts must be at least 20, got 1"),
        ({"quantize": "none", "dataset": "x"}, "has no use for it"),
        ({"quantize": "int4"}, "quantize must be one of .*'fp16'.*, got 'int4'"),
        ({"range": "9bit"}, "range must be one of .*'7bit'.*, got '9bit'"),
        ({"quantize": "fp16", "range": "7bit"}, "a range of 7bit is of int8"),
    ],
)
def test_bad_settings_are_refused(
    checkpoint: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export_model(checkpoint, tmp_path / "model", ExportSettings(**settings))
    assert not (tmp_path / "model").exists()
