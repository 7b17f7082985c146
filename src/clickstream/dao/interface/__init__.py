"""What the service needs of a store, by concern."""
