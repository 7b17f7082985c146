"""The demo: a shop whose customers speak words that the base model does not know."""
