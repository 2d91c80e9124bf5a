"""Every endpoint, by requests that are made from what OpenAPI tells of it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.serve.conftest import Served

EXAMPLES = os.environ.get("GLANE_SERVE_EXAMPLES", "4")
"""Requests that are made up for each endpoint."""


def test_nothing_that_is_asked_breaks_it(served: Served, tmp_path: Path) -> None:
    checks = ["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"]
    argv = ["run", f"{served.url}/openapi.json", "--max-examples", EXAMPLES, "--no-color", *checks]
    schemathesis = Path(sys.executable).with_name("schemathesis")
    ran = subprocess.run(
        [str(schemathesis), *argv], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "passed" in ran.stdout
    assert served.client.get("/ready").status_code == 200


def test_openapi_tells_every_route_with_an_example(served: Served) -> None:
    paths = served.client.get("/openapi.json").json()["paths"]
    wanted = "/search /explain /documents /documents/{id} /rerank /v1/rerank /v2/rerank"
    assert set(wanted.split()) <= set(paths)
    for path in wanted.split():
        for method, operation in paths[path].items():
            content = operation["responses"]["200"]["content"]["application/json"]
            assert "example" in content, (method, path)
