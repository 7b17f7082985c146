"""Parent and child processes of the service."""
