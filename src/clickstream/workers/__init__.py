"""Work that goes on without a caller."""
