"""Collections with judgements, and measures on them."""
