"""Conversion of sessions to graded training inputs."""
