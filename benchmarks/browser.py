"""A browser against Python: `python benchmarks/browser.py INDEX FOLDER DATASET`.

INDEX is an index of the dataset's corpus, FOLDER what `glane export --web INDEX FOLDER` wrote;
DATASET a BEIR folder, whose test queries are asked. Needs playwright, and Chromium on the path.
"""

from __future__ import annotations

import argparse
import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from glane import Search

K = 10

FIND = """async ([url, queries, k]) => {
  const { Search } = await import(`${url}search.js`);
  const begun = performance.now();
  const search = await Search.open(url);
  const opened = performance.now();
  await search.loadReranker();
  const loaded = performance.now();
  const found = [];
  for (const query of queries) found.push(await search.find(query, k));
  const each = (performance.now() - loaded) / queries.length;
  return { found, open: opened - begun, load: loaded - opened, each };
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_queries(dataset: Path) -> list[str]:
    """Return the texts of the queries that the test split judges."""
    judged = (dataset / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
    asked = {line.split("\t")[0] for line in judged}
    lines = (dataset / "queries.jsonl").read_text("utf-8").splitlines()
    return [row["text"] for row in map(json.loads, lines) if row["_id"] in asked]


def in_browser(folder: str, queries: list[str]) -> dict[str, Any]:
    """Return what a browser finds, and how long that took in milliseconds."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        options = {"executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
        page = playwright.chromium.launch(**options).new_page()
        page.set_default_timeout(0)
        url = f"http://127.0.0.1:{server.server_port}/"
        page.goto(url)
        found: dict[str, Any] = page.evaluate(FIND, [url, queries, K])
    server.shutdown()
    return found


def main() -> None:
    """Print how many queries have the same hits, and what they overlap by."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("index", "folder", "dataset"):
        parser.add_argument(name)
    arguments = parser.parse_args()
    queries = test_queries(Path(arguments.dataset))
    expected = Search.load(arguments.index).search(queries, K, phrases=False).ids
    told = in_browser(arguments.folder, queries)
    pairs = list(zip([each["ids"] for each in told["found"]], expected, strict=True))
    shared = [len(set(found) & set(ids)) / len(ids) for found, ids in pairs if ids]
    sizes = [path.stat().st_size for path in Path(arguments.folder).rglob("*") if path.is_file()]
    print(f"{len(queries)} queries, the first {K}: {sum(a == b for a, b in pairs)} have the same")
    print(f"ids in the same order; overlap {sum(shared) / len(shared):.4f}")
    print(f"folder {sum(sizes) / 1e6:.1f} MB; opening {told['open']:.0f} ms, the model and its")
    print(f"vectors {told['load']:.0f} ms, a query {told['each']:.1f} ms")


if __name__ == "__main__":
    main()
