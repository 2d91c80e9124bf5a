"""The container file: its steps, run here as a script, since no container can be built here."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glane import BM25, Search
from glane.commands.program import parse

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "deploy" / "Containerfile").read_text()


def step(name: str) -> list[str]:
    """Return what follows the lines of the container file that begin with a word."""
    return [line.removeprefix(name).strip() for line in FILE.splitlines() if line.startswith(name)]


def another_user_can_run(program: Path) -> bool:
    """Return whether this process may become another user, which reaches a program."""
    folders = program.resolve().parents
    return os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in folders)


@pytest.mark.benchmarks
def test_the_steps_install_a_server_that_is_healthy(tmp_path: Path) -> None:
    place = tmp_path / "srv"
    place.mkdir()
    for line in step("COPY"):
        *sources, target = shlex.split(line)
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place / target)
            else:
                shutil.copy(ROOT / source, place / target)
    environment = tmp_path / "python"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (install,) = [line for line in step("RUN") if line.startswith("pip install")]
    command = install.partition(" && ")[0].replace("pip", f"{environment}/bin/pip -q", 1)
    subprocess.run(shlex.split(command), cwd=place, check=True)
    shutil.rmtree(place)

    search = Search(BM25())
    search.add([{"id": "a", "text": "tea"}])
    search.save(tmp_path / "index")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = int(step("USER")[0]) if another_user_can_run(Path(sys.executable)) else os.geteuid()
    for path in (*tmp_path.rglob("*"), tmp_path, *tmp_path.parents[:2]):
        if path.is_dir() and not path.is_relative_to(environment):
            path.chmod(0o755)
    for path in [tmp_path / "index", *(tmp_path / "index").rglob("*")]:
        os.chown(path, user, user)
    arguments = [
        argument.replace("/index", str(tmp_path / "index"))
        for line in (*step("ENTRYPOINT"), *step("CMD"))
        for argument in json.loads(line)
    ]
    argv = [f"{environment}/bin/{arguments[0]}", *arguments[1:], "--port", str(port)]
    told = {"GLANE_TOKEN": "geheim", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    python = f"{environment}/bin/python"
    healthy = FILE.partition("HEALTHCHECK")[2].partition(" CMD ")[2].partition("\n")[0]
    check = [word.replace("8080", str(port)) for word in json.loads(healthy)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(argv, env=told, user=user, group=user, stderr=log, cwd="/")
        try:
            until = time.monotonic() + 60
            while subprocess.run([python, *check[1:]], capture_output=True, check=False).returncode:
                assert server.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < until
        finally:
            server.terminate()
            server.wait()


def test_what_is_called_can_be_called() -> None:
    entry, command = (json.loads(step(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry[0] == "glane"
    _, arguments = parse([*entry[1:], *command])
    assert (arguments.index, arguments.host) == ("/index", "0.0.0.0")
    unit = (ROOT / "deploy" / "glane.service").read_text()
    (start,) = re.findall("ExecStart=(.*)", unit)
    _, arguments = parse(shlex.split(start)[1:])
    assert arguments.token_file == "%d/token"
