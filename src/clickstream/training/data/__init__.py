"""Reads training inputs into a dataset: what a model learns from, and what it is measured on."""
