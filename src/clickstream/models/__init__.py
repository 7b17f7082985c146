"""Model folders on this machine, their vectors, and the version that serves."""
