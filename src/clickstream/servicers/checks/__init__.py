"""Checks of requests, before anything of them is used."""
