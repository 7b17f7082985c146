"""How this service calls its trainer."""
