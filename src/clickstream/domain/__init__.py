"""Data and rules; imports nothing of ours."""
