"""Whether the data can be trusted: checks, and who is a robot."""
