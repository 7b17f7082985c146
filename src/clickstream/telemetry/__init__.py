"""Keeps what `domain.signals` counts, and shows it to Prometheus and to probes."""
