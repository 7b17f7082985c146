"""Checks of requests before anything else sees them."""
