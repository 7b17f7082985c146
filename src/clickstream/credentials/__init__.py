"""Addresses, certificates and tokens: what both ends of a connection check before they use them."""
