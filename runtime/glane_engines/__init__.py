"""Hands an index's documents to an engine that a user has already: `glane push`.

`glane.integrations.qdrant` and `glane.integrations.postgres` search what was pushed.
"""
