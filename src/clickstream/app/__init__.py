"""The composition roots: each makes the parts of one process, connects them, and stops them in order."""
