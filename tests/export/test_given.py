"""A graph that somebody else made, in the place of the traced encoder."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from glane import ColBERT, ModelInfo
from glane.commands.main import main
from glane.errors import CheckpointError
from glane_export import ExportSettings, ParityError, export_model
from glane_export.unfusing import unfuse
from glane_trainer import ColBERT as TorchColBERT
from glane_trainer import load_model

TEXTS = ["", "?!", "the river runs to the sea", "日本語", "snow on the mountain " * 20]

USUAL = ("input_ids", "attention_mask", "token_type_ids")


class Encoder(nn.Module):
    """An encoder as others export it, whatever the order of its inputs."""

    def __init__(self, encoder: nn.Module, names: tuple[str, ...], *, pooled: bool) -> None:
        super().__init__()
        self.encoder, self.names, self.pooled = encoder, names, pooled

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401 (one output or two)
        given = dict(zip(self.names, inputs, strict=True))
        given["attention_mask"] = given["attention_mask"].long()
        hidden = self.encoder(**given).last_hidden_state
        return (hidden.mean(1), hidden) if self.pooled else hidden


def write_encoder(
    checkpoint: Path,
    path: Path,
    *,
    names: Mapping[str, str] | None = None,
    inputs: tuple[str, ...] = USUAL,
    outputs: tuple[str, ...] = ("last_hidden_state",),
    kinds: Mapping[str, torch.dtype] | None = None,
    fixed: tuple[int, ...] = (),
    opset: int = 17,
) -> Path:
    """Export a checkpoint's encoder in plain torch.

    Args:
        names: What inputs are called, where not as usual.
        kinds: Types of inputs, where not int64.
        fixed: Which axes are not free.
    """
    encoder = load_model(checkpoint).encoder
    encoder.set_attn_implementation("eager")
    ids = torch.arange(1, 10)[None]
    values = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
        "position_ids": torch.arange(9)[None],
    }
    called = [(names or {}).get(name, name) for name in inputs]
    free = {axis: f"axis{axis}" for axis in (0, 1) if axis not in fixed}
    kinds = kinds or {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Encoder(encoder, inputs, pooled=len(outputs) == 2).eval(),
            tuple(values[name].to(kinds.get(name, torch.int64)) for name in inputs),
            str(path),
            input_names=called,
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys((*called, outputs[-1]), free),
            opset_version=opset,
            dynamo=False,
        )
    return path


def exported(
    checkpoint: Path,
    graph: Path,
    folder: Path,
    quantize: Literal["none", "int8", "fp16"] = "none",
) -> dict[str, Any]:
    return export_model(checkpoint, folder, ExportSettings(graph=graph, quantize=quantize))


def assert_as_torch(checkpoint: Path, folder: Path) -> None:
    ours, theirs = ColBERT.load(folder), TorchColBERT.load(checkpoint)
    for found, expected in (
        (ours.encode_queries(TEXTS), theirs.encode_queries(TEXTS)),
        (ours.encode_documents(TEXTS), theirs.encode_documents(TEXTS)),
    ):
        np.testing.assert_array_equal(found.offsets, expected.offsets)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-4)


VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "all four inputs": {"inputs": (*USUAL, "position_ids")},
    "no token types": {"inputs": USUAL[:2]},
    "other names": {
        "names": {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "segment_ids"},
        "outputs": ("out",),
    },
    "another order": {"inputs": ("attention_mask", "token_type_ids", "input_ids")},
    "two outputs": {"outputs": ("sentence_embedding", "token_embeddings")},
    "int32 and a mask in float": {
        "kinds": {
            "input_ids": torch.int32,
            "token_type_ids": torch.int32,
            "attention_mask": torch.float32,
        }
    },
    "opset 14": {"opset": 14},
    "opset 18": {"opset": 18},
    "opset 20": {"opset": 20},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_graph_of_plain_torch_takes_the_place_of_the_encoder(
    checkpoint: Path, tmp_path: Path, name: str
) -> None:
    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx", **VARIANTS[name])
    report = exported(checkpoint, graph, tmp_path / "model")
    assert report["graph"]["file"] == "encoder.onnx"
    assert all(bound["kept"] for bound in report["bounds"])
    assert_as_torch(checkpoint, tmp_path / "model")
    made = onnx.load(str(tmp_path / "model" / "model.onnx")).graph
    assert [value.name for value in made.input] == ["input_ids", "attention_mask"]
    assert [axis.dim_value for axis in made.output[0].type.tensor_type.shape.dim] == [0, 0, 8]


@pytest.mark.parametrize("quantize", ["int8", "fp16"])
@pytest.mark.parametrize("opset", [14, 18])
def test_it_is_made_smaller_as_any(
    checkpoint: Path, tmp_path: Path, quantize: Literal["int8", "fp16"], opset: int
) -> None:
    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx", opset=opset)
    report = exported(checkpoint, graph, tmp_path / "model", quantize)
    assert all(bound["kept"] for bound in report["bounds"])
    assert report["precision"] == quantize


@pytest.mark.parametrize("opset", [17, 18])
def test_the_head_of_a_sparse_model_comes_behind_it(
    sparse_checkpoint: Path, tmp_path: Path, opset: int
) -> None:
    graph = write_encoder(sparse_checkpoint, tmp_path / "encoder.onnx", opset=opset)
    report = exported(sparse_checkpoint, graph, tmp_path / "model", "int8")
    assert all(bound["kept"] for bound in report["bounds"])


def test_a_graph_that_ends_in_token_vectors_is_taken_as_it_is(
    checkpoint: Path, tmp_path: Path
) -> None:
    export_model(checkpoint, tmp_path / "traced", ExportSettings(quantize="none"))
    graph = tmp_path / "traced" / "model.onnx"
    exported(checkpoint, graph, tmp_path / "model")
    assert_as_torch(checkpoint, tmp_path / "model")


def test_a_graph_of_one_text_is_given_one_at_a_time(checkpoint: Path, tmp_path: Path) -> None:
    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx", fixed=(0,))
    broken = onnx.load(str(graph))
    _fix_batch(broken)
    onnx.save(broken, str(graph))
    report = exported(checkpoint, graph, tmp_path / "model")
    assert report["batch_dependent"] is True
    assert ModelInfo.read(tmp_path / "model").batch_dependent
    assert_as_torch(checkpoint, tmp_path / "model")


def _fix_batch(model: onnx.ModelProto) -> None:
    """Let a graph fail for more texts than one, as one does that was traced with one."""
    for value in model.graph.output:
        name = value.name
        for node in model.graph.node:
            node.output[:] = [f"{one}/free" if one == name else one for one in node.output]
        shape = helper.make_tensor("fixed", TensorProto.INT64, [3], [1, -1, 16])
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("Reshape", [f"{name}/free", "fixed"], [name]))


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"names": {"input_ids": "pixels"}}, "asks for ['pixels', 'attention_mask', 'token_type"),
        ({"inputs": ("input_ids",)}, "asks for ['input_ids']; expected input_ids and attention"),
        ({"outputs": ("logits",)}, "gives ['logits']; expected last_hidden_state"),
        ({"opset": 12}, "is of opset 12; export it with opset 13 or newer"),
        ({"kinds": {"input_ids": torch.uint8}}, "takes input_ids as uint8 with 2 axes; expected"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    variant: dict[str, Any],
    message: str,
) -> None:
    class Uncounted(Encoder):
        pass

    if variant.get("inputs") == ("input_ids",):
        graph = _without_mask(checkpoint, tmp_path / "encoder.onnx")
    elif "kinds" in variant:
        graph = _with_type(checkpoint, tmp_path / "encoder.onnx", TensorProto.UINT8)
    else:
        graph = write_encoder(checkpoint, tmp_path / "encoder.onnx", **variant)
    argv = ["export", str(checkpoint), str(tmp_path / "model"), "--graph", str(graph)]
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model").exists()


def _without_mask(checkpoint: Path, path: Path) -> Path:
    model = onnx.load(str(write_encoder(checkpoint, path)))
    kept = [value for value in model.graph.input if value.name == "input_ids"]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    onnx.save(model, str(path))
    return path


def _with_type(checkpoint: Path, path: Path, kind: int) -> Path:
    model = onnx.load(str(write_encoder(checkpoint, path)))
    model.graph.input[0].type.tensor_type.elem_type = kind
    onnx.save(model, str(path))
    return path


def test_a_file_that_is_no_graph_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["export", str(checkpoint), str(tmp_path / "model"), "--graph"]
    (tmp_path / "text.onnx").write_text("no graph")
    for file, message in (("text.onnx", "cannot be read as ONNX"), ("none.onnx", "is not a file")):
        assert main([*argv, str(tmp_path / file)]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_a_fixed_length_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx", fixed=(0, 1))
    model = onnx.load(str(graph))
    shape = helper.make_tensor("fixed", TensorProto.INT64, [3], [-1, 9, 16])
    for node in model.graph.node:
        node.output[:] = ["free" if one == "last_hidden_state" else one for one in node.output]
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Reshape", ["free", "fixed"], ["last_hidden_state"]))
    onnx.save(model, str(graph))
    with pytest.raises(CheckpointError, match="export it with axes for any length"):
        exported(checkpoint, graph, tmp_path / "model")


def test_another_models_graph_is_refused_by_parity_or_width(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    ours, theirs = make_checkpoint("ours"), make_checkpoint("theirs", kind="modernbert")
    graph = write_encoder(theirs, tmp_path / "encoder.onnx", inputs=USUAL[:2])
    with pytest.raises(ParityError, match="onnx fp32 to torch"):
        exported(ours, graph, tmp_path / "model")
    wide = onnx.load(str(graph))
    for node in wide.graph.node:
        node.output[:] = ["whole" if one == "last_hidden_state" else one for one in node.output]
    wide.graph.node.append(
        helper.make_node("Concat", ["whole", "whole"], ["last_hidden_state"], axis=2)
    )
    onnx.save(wide, str(graph))
    with pytest.raises(CheckpointError, match="gives vectors 32 wide; expected the encoder's, 16"):
        exported(ours, graph, tmp_path / "model")


def fused(graph: Path, *, approximated: bool) -> Path:
    """Fuse attention and GELU, as optimum does from O2 on; at O3 the GELU is approximated."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_gelu_approximation = approximated
    made = optimize_model(
        str(graph), "bert", num_heads=2, hidden_size=16, opt_level=0, optimization_options=options
    )
    kinds = {node.op_type for node in made.model.graph.node}
    assert {"Attention", "FastGelu" if approximated else "BiasGelu"} <= kinds
    made.save_model_to_file(str(graph))
    return graph


@pytest.mark.parametrize("approximated", [False, True])
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_fused_nodes_are_taken_apart(
    checkpoint: Path, tmp_path: Path, quantize: Literal["none", "int8"], approximated: bool
) -> None:
    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx")
    report = exported(
        checkpoint, fused(graph, approximated=approximated), tmp_path / "model", quantize
    )
    told = ["2 Attention nodes into products and MultiHeadAttention"]
    told += ["2 approximated GELUs into exact ones"] * approximated
    assert report["graph"]["taken_apart"] == told
    shares = [b["figure"] for b in report["bounds"] if b["measure"] == "share of products in int8"]
    assert shares == [1] * (quantize == "int8")


def test_an_approximation_that_is_the_models_own_stays() -> None:
    gelu = helper.make_node("FastGelu", ["x"], ["y"], domain="com.microsoft")
    for activation, kind in (("gelu_new", "FastGelu"), ("gelu", "Gelu")):
        graph = helper.make_graph([gelu], "gelu", [], [])
        unfuse(graph, activation)
        assert [node.op_type for node in graph.node] == [kind]


def test_an_attention_with_a_cache_stays() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 6], [0.0] * 12)
    cases: list[tuple[list[str], dict[str, Any]]] = [
        (["x", "w", "b", "", "past"], {"num_heads": 1}),
        (["x", "w", "b"], {"num_heads": 1, "do_rotary": 1}),
        (["x", "given"], {"num_heads": 1}),
    ]
    for inputs, attributes in cases:
        node = helper.make_node("Attention", inputs, ["y"], domain="com.microsoft", **attributes)
        graph = helper.make_graph([node], "attention", [], [], [weights])
        assert unfuse(graph, "gelu") == []
        assert [one.op_type for one in graph.node] == ["Attention"]


def test_a_graph_in_fp16_is_the_version_in_fp16(checkpoint: Path, tmp_path: Path) -> None:
    from glane_export.graph import in_half

    graph = write_encoder(checkpoint, tmp_path / "encoder.onnx")
    onnx.save(in_half(onnx.load(str(graph)), True), str(graph))
    with pytest.raises(CheckpointError, match="is in fp16; pass --quantize fp16"):
        exported(checkpoint, graph, tmp_path / "model")
    assert exported(checkpoint, graph, tmp_path / "model", "fp16")["precision"] == "fp16"


def test_a_quantized_graph_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    export_model(checkpoint, tmp_path / "int8")
    with pytest.raises(CheckpointError, match="is quantized already"):
        exported(checkpoint, tmp_path / "int8" / "model.onnx", tmp_path / "model")
