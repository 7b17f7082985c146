"""What parent and child processes of the service share."""
