"""What an index, or a part of it, is refused with that no browser can search."""

from __future__ import annotations


class NotForBrowsers(ValueError):
    """An index that cannot be carried to a browser; the message says why and what to do."""
