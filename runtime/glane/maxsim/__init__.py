"""Token vectors: stored, outlined, pooled, and scored by MaxSim."""

from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.maxsim.kernel import maxsim_scores

__all__ = ["MaxSimIndex", "TokenStorage", "maxsim_scores"]
