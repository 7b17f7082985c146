"""Inputs read into a dataset."""
