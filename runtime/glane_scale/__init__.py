"""glane on more than one machine; `glane` itself knows nothing of it."""
