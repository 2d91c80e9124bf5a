"""The training of `docs/training-script.md`, stopped and gone on with by the page's own lines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.docs import made
from tests.docs.pages import blocks, read

from glane_trainer import DEFAULTS, ColBERT, read_data, train
from glane_trainer.run import Run

(RESUME,) = (block.code for block in blocks(read("docs/training-script.md")) if block.mark)


def test_a_stopped_training_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "triples.jsonl"):
        made.make(tmp_path, name)
    data = read_data("triples.jsonl", holdout=0.1)
    settings = replace(DEFAULTS["colbert"], epochs=1, batch_size=4)

    def stopped(self: Run) -> None:
        if self.progress.step:
            raise KeyboardInterrupt
        evaluate(self)

    evaluate = Run.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(Run, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt, match=r'`mode="resume"`'):
            train(ColBERT.from_base("base"), data, "checkpoint", settings)
    namespace: dict[str, Any] = {"train": train, "data": data, "settings": settings}
    exec(RESUME, namespace)
    assert namespace["result"]["steps"] == 3
    assert Path("checkpoint/model.safetensors").is_file()
