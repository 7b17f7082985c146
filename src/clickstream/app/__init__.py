"""The composition roots: each makes the parts of one process, hands them what they need, and stops them in order."""
