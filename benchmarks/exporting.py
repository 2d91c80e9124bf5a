"""Wall time and highest memory of an export: a random ColBERT of a base's size, as PyLate saves it.

python benchmarks/exporting.py --tokenizer tests/fixtures/colbert/tokenizer.json
python benchmarks/exporting.py --tokenizer tokenizer.json --layers 24 --width 1024   # another size

Each export is a process of its own: of loading, tracing, parity with torch and all files. The
bounds of int8's quality, which random weights need not keep, are left out. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPORT = """
import sys
import glane_export.exporting as exporting
from glane_export import ExportSettings, export_model
from glane_export.parity import Limits
exporting.LIMITS["int8"] = Limits(mean_cosine=-1.0, lowest_cosine=-1.0, overlap=0.0)
settings = ExportSettings(quantize=sys.argv[3], threads=int(sys.argv[4]))
report = export_model(sys.argv[1], sys.argv[2], settings)
print(report["bytes"])
"""

IDENTITY = "torch.nn.modules.linear.Identity"


def write_model(folder: Path, arguments: argparse.Namespace) -> None:
    """Write a random BERT with a projection, in PyLate's layout."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    width = arguments.width
    config = BertConfig(
        vocab_size=arguments.vocabulary,
        hidden_size=width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    shutil.copyfile(arguments.tokenizer, folder / "tokenizer.json")
    (folder / "1_Dense").mkdir()
    weight = torch.randn(128, width) / width**0.5
    save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": width, "out_features": 128, "bias": False}
    kinds = ["sentence_transformers.models.Transformer", "pylate.models.Dense.Dense"]
    files = {
        "1_Dense/config.json": {**dense, "activation_function": IDENTITY, "use_residual": False},
        "modules.json": [
            {"idx": idx, "name": str(idx), "path": path, "type": kind}
            for idx, (path, kind) in enumerate(zip(("", "1_Dense"), kinds, strict=True))
        ],
        "sentence_bert_config.json": {"max_seq_length": 299, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "5.3.0"},
            "model_type": "ColBERT",
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "MaxSim",
            "query_prefix": "",
            "document_prefix": "",
            "query_length": 32,
            "document_length": 300,
            "attend_to_expansion_tokens": False,
            "skiplist_words": [],
            "do_query_expansion": False,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def measured(command: list[str]) -> tuple[float, float, int]:
    """Run an export; return its seconds, highest resident memory in GB, and the graph's bytes."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the export ended with status {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 1e6, int(printed.split()[-1])


def main() -> None:
    """Make the model, export it to each precision, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="any tokenizer.json")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "base"
        folder.mkdir()
        write_model(folder, arguments)
        size = (folder / "model.safetensors").stat().st_size / 1e6
        print(f"random BERT, {arguments.layers} layers of {arguments.width}, {size:.0f} MB\n")
        print("| to | wall time, s | highest memory, GB | graph, MB |\n|---|---|---|---|")
        for precision, name in (("none", "fp32"), ("int8", "int8"), ("fp16", "fp16")):
            out = Path(scratch) / name
            command = [sys.executable, "-c", EXPORT, str(folder), str(out), precision]
            seconds, memory, n_bytes = measured([*command, str(arguments.threads)])
            print(f"| {name} | {seconds:.0f} | {memory:.2f} | {n_bytes / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
