"""From terms to documents: exact inverted lists, and a vector a posting."""

from glane.postings.postings import Postings

__all__ = ["Postings"]
