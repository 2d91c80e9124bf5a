"""Scores by their definitions, a pair at a time, which the fast ways are compared with."""

import numpy as np

from glane.model.scoring import maxsim
from glane.types import Scores
from glane.vectors import TokenVectors


def defined(queries: TokenVectors, documents: TokenVectors) -> Scores:
    """Score each pair on its own by `glane.model.scoring.maxsim`."""
    scores = np.empty((len(queries), len(documents)), np.float32)
    for i, j in np.ndindex(scores.shape):
        query = queries[i : i + 1].values.astype(np.float32)
        document = documents[j : j + 1].values.astype(np.float32)
        masks = np.ones(len(query), np.bool_), np.ones(len(document), np.bool_)
        scores[i, j] = maxsim(query, document, *masks, xp=np)
    return scores
