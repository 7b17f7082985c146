"""The demo: a shop whose customers use words that the base model does not know."""
