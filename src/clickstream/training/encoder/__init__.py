"""Encoders, and the folders that they are saved in."""
