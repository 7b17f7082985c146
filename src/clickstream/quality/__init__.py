"""Whether the data can be trusted: checks, steps, and robots."""
