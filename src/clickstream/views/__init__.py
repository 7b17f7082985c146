"""What the terminal shows, by rich."""
