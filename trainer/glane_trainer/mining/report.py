"""What came of a mining, as data and as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from glane_trainer.mining.mining import Mined

LEFT_OUT = {
    "known": "candidates are known to answer their query: no negatives of it",
    "equal_texts": "candidates have the text of such an answer: likewise",
    "queries": "candidates are the query itself: likewise",
    "repeated": "candidates have the text of one that ranks better",
    "empty": "candidates have no text",
    "unscored": "candidates have no token that the teacher scores",
    "too_close": "candidates score too near their answer, and may be one",
    "pairs_without_text": "pairs have no text, or an answer that the teacher cannot score: left "
    "out",
    "pairs_without_negatives": "pairs have no candidate left: left out",
}
"""What is said of what was left out."""

AMISS = {
    "unknown_documents": "documents are judged that the collection lacks: passed over",
    "unknown_queries": "queries are judged that the collection lacks: passed over",
    "contradicting": "judgements contradict one before, of the same query and document: the last "
    "counts",
}
"""What is said of what was found amiss in the data."""


def report(parts: Iterable[Mined]) -> dict[str, Any]:
    """Return what came of all parts of a mining.

    Returns:
        `n_written` lines, `n_negatives` of all of them, the least and the most of a line in
        `negatives`, with the mean; `left_out`, by the names of `LEFT_OUT`; and `answers`: how many
        there are, how many of them were found, how many at rank 1 and up to 10, and the median
        rank of those found.
    """
    n_of, ranks, counts = list[int](), list[int](), Counter[str]()
    for part in parts:
        n_of += [len(record["negatives"]) for record in part.records]
        ranks += part.ranks
        counts.update(part.counts)
    found = np.array([rank for rank in ranks if rank])
    mean = round(sum(n_of) / len(n_of), 3) if n_of else 0.0
    return {
        "n_written": len(n_of),
        "n_negatives": sum(n_of),
        "negatives": {"least": min(n_of, default=0), "mean": mean, "most": max(n_of, default=0)},
        "left_out": {name: counts[name] for name in LEFT_OUT if counts[name]},
        "answers": {
            "n": len(ranks),
            "found": len(found),
            "first": int((found == 1).sum()),
            "first_10": int((found <= 10).sum()),
            "median_rank": float(np.median(found)) if len(found) else None,
        },
    }


def told(result: Mapping[str, Any]) -> list[str]:
    """Return a report's lines of text."""
    each, answers = result["negatives"], result["answers"]
    lines = [
        f"{result['n_written']} lines of {result['n_queries']} queries, {each['least']} to "
        f"{each['most']} negatives each, {each['mean']:.1f} on average"
    ]
    if answers["found"]:
        lines.append(
            f"of {answers['n']} known answers {answers['found']} are among the candidates: "
            f"{answers['first']} at rank 1, {answers['first_10']} up to rank 10; median rank "
            f"{answers['median_rank']:g}"
        )
    else:
        lines.append(f"none of {answers['n']} known answers is among the candidates")
    lines += [f"{n} {LEFT_OUT[name]}" for name, n in result["left_out"].items()]
    lines += [f"{result[name]} {text}" for name, text in AMISS.items() if result.get(name)]
    return lines
