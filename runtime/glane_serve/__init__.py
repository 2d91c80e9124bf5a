"""Serves an index or a model: over HTTP, and to agents over stdio. It needs `glane[serve]`."""
