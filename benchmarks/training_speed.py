"""Triples a second that a ColBERT learns from, and PyLate's on the same ones, in turns.

python benchmarks/training_speed.py --base ENCODER --data BEIR_DIR
python benchmarks/training_speed.py --base ENCODER --data BEIR_DIR --pylate PYLATE/bin/python

Both read the same triples, in the same order: queries of 32 tokens, filled up with mask tokens,
documents of 128, 128 dimensions, batches of 16, the contrastive loss, fp32, AdamW. glane trains all
layers in `all`, and in `usual` the upper half, with queries as long as they are, as it does where
nothing is said. Each turn is a process of its own; the first steps do not count. PyLate is another
Python's, which has it installed (`pip install pylate`); without it, glane's rows alone are told.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from glane.threads import available_threads

BATCH = 16

WARM = 3
"""Steps that do not count: what is allocated and looked up once."""

ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Of the base's folder what both read: PyLate knows not every layout of sentence-transformers."""

BEGIN = """
import json, sys
from pathlib import Path
from time import perf_counter
import torch
base, triples, what, threads, batch, warm = sys.argv[1:]
torch.set_num_threads(int(threads))
rows = [json.loads(line) for line in Path(triples).read_text().splitlines()]
names = ("query", "positive", "negative")
"""

OURS = """
from glane_trainer import ColBERT, Objective, StepOptions, train_step
from glane_trainer.optimization import freeze
usual = what == "usual"
model = ColBERT.from_base(base, dim=128, query_expansion=not usual, document_length=128)
model.train()
if usual:
    freeze(model.encoder, None)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)
options = StepOptions(objective=Objective(temperature=0.02), at_once=int(batch))
def step(part):
    train_step(model, optimizer, *([row[name] for row in part] for name in names), options)
"""

PYLATE = """
from pylate import losses, models, utils
model = models.ColBERT(
    base, embedding_size=128, query_length=32, document_length=128, device="cpu"
)
model.train()
loss = losses.Contrastive(model, temperature=0.02)
collator = utils.ColBERTCollator(model.tokenize)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
def step(part):
    found = collator(part)
    features = [
        {key.removeprefix(f"{name}_"): found[key] for key in found if key.startswith(f"{name}_")}
        for name in names
    ]
    loss(features, None).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
"""

END = """
size, took = int(batch), []
for start in range(0, len(rows), size):
    began = perf_counter()
    step(rows[start : start + size])
    took.append(perf_counter() - began)
print(json.dumps(took[int(warm):]))
"""


def main() -> None:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--pylate", metavar="PYTHON")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_threads())
    arguments = parser.parse_args()
    runs = {"glane, all layers": (sys.executable, OURS, "all")}
    runs["glane, as usual"] = (sys.executable, OURS, "usual")
    if arguments.pylate is not None:
        runs["PyLate"] = (arguments.pylate, PYLATE, "all")
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder:
        triples = Path(folder) / "triples.jsonl"
        write_triples(arguments.data, triples, BATCH * (WARM + arguments.steps))
        encoder = Path(folder) / "encoder"
        encoder.mkdir()
        for path in Path(arguments.base).iterdir():
            if path.name in ENCODER_FILES:
                shutil.copy(path, encoder)
        for _ in range(arguments.rounds):
            for name, (python, program, what) in runs.items():
                argv = [encoder, triples, what, arguments.threads, BATCH, WARM]
                speeds[name].append(BATCH / seconds(python, program, [*map(str, argv)], folder))
    print(
        f"{platform.machine()}, {arguments.threads} threads, {arguments.rounds} rounds of ", end=""
    )
    print(f"{arguments.steps} steps of {BATCH} triples\n\n| | triples a second | |\n|---|---|---|")
    for name, found in speeds.items():
        told = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        against = statistics.median(found) / statistics.median(speeds.get("PyLate", found))
        print(f"| {name} | {told} | {against:.2f} |")


def write_triples(data: str, path: Path, n_triples: int) -> None:
    """Write triples of a collection as JSON lines, some again where it has fewer."""
    from glane_trainer import read_data

    examples = read_data(data, holdout=0).examples
    with path.open("w") as file:
        for number in range(n_triples):
            example = examples[number % len(examples)]
            negative = (*example.negatives, examples[(number + 1) % len(examples)].positive)[0]
            record = {"query": example.anchor, "positive": example.positive, "negative": negative}
            file.write(json.dumps(record) + "\n")


def seconds(python: str, program: str, argv: list[str], folder: str) -> float:
    """Return the median seconds of a step, of a process of its own."""
    command = [python, "-c", BEGIN + program + END, *argv]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
    return statistics.median(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
