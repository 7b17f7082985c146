"""Who may call what, how much, and over which wire."""
