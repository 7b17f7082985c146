"""From a session to a graded training input."""
