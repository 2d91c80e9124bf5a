"""`glane train --push-to-hub`: Hugging Face's own client against a server of this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from glane.commands.main import main
from glane_trainer.hub import push

TOKEN = "hf_of_a_test"


class Hub(BaseHTTPRequestHandler):
    """The few answers of the hub that a push needs; what was asked is kept by the server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, body))  # type: ignore[attr-defined]
        if not self.is_known():
            return self.answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            return self.answer(200, {"url": f"{self.address}/me/model", "name": "me/model"})
        if self.path.endswith("/preupload/main"):
            told = {"uploadMode": "regular", "shouldIgnore": False}
            files = [{"path": file["path"], **told} for file in json.loads(body)["files"]]
            return self.answer(200, {"files": files})
        if self.path.endswith("/commit/main"):
            status = self.server.commits_with  # type: ignore[attr-defined]
            url = f"{self.address}/me/model/commit/0"
            return self.answer(status, {"commitUrl": url, "commitOid": "0", "error": "no room"})
        return self.answer(200, {"errors": [], "warnings": []})

    def do_GET(self) -> None:
        if not self.is_known():
            return self.answer(401, {"error": "Invalid username or password."})
        return self.answer(200, {"id": "me/model", "sha": "0", "siblings": []})

    def is_known(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}"

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @property
    def address(self) -> str:
        return f"http://{self.headers['Host']}"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub on this machine, that Hugging Face's client takes for its own."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.commits_with = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def words(bert: Path, data: Path, out: Path, *more: str) -> list[str]:
    made = ["train", "colbert", "--base", str(bert), "--data", str(data), "--dim", "8"]
    made += ["--out", str(out), "--threads", "1", "--epochs", "1", "--batch-size", "4"]
    return [*made, "--push-to-hub", "me/model", *more]


def committed(server: Any) -> list[str]:  # noqa: ANN401 (a server with notes)
    """Return the paths of the files that were pushed."""
    (body,) = [body for path, body in server.asked if path.endswith("/commit/main")]
    lines = [json.loads(line) for line in body.splitlines()]
    return sorted(line["value"]["path"] for line in lines if line["key"] == "file")


def test_a_trained_model_is_pushed_with_its_card_and_without_texts(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    hub: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(words(bert, triples(), out)) == 0
    assert "pushed to http://127.0.0.1:" in capsys.readouterr().out
    assert hub.asked[0][0] == "/api/repos/create", "before anything is trained"
    asked = json.loads(hub.asked[0][1])
    assert asked["name"] == "model"
    assert "private" in json.dumps(asked)
    pushed = committed(hub)
    assert {"README.md", "glane.json", "model.safetensors", "run.toml"} <= set(pushed)
    assert "sample.json" not in pushed
    assert not any(path.startswith(("last/", ".resume")) for path in pushed)
    assert "push-to-hub" not in (out / "run.toml").read_text(), "repeated, it is not pushed again"


def test_a_hub_that_refuses_is_told_of_before_the_training(
    bert: Path,
    tmp_path: Path,
    hub: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert main(words(bert, Path("no"), tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "--push-to-hub: 'me/model' could not be made on the hub: " in told
    assert "401" in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert len(hub.asked) == 1


def test_a_push_that_fails_says_that_the_model_is_written(
    bert: Path,
    triples: Callable[..., Path],
    tmp_path: Path,
    hub: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.commits_with = 413
    out = tmp_path / "out"
    assert main(words(bert, triples(), out)) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"{str(out)!r} is written, but could not be pushed; `hf upload me/model {out}" in told
    assert "413" in told
    assert (out / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("a/b/c", "'a/b/c' could not be made on the hub: Repo id must be"), ("me/model", "offline")],
)
def test_what_cannot_reach_the_hub_is_told_in_one_line(
    bert: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    complaint: str,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    argv = [*words(bert, Path("no"), tmp_path / "out"), "--push-to-hub", name]
    assert main(argv) == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


def test_a_server_that_is_gone_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(OSError, match=r"could not be pushed; `hf upload .* refused"):
        push(tmp_path, "me/model")
