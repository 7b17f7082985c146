"""How well a model ranks, and whether its gate passes."""
