"""Text analysis for lexical search: from a text to its terms."""

from glane.analysis.analyzer import Analyzer

__all__ = ["Analyzer"]
