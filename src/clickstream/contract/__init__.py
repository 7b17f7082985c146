"""Turns generated messages into domain objects and back."""
