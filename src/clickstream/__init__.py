"""Search click data, from the click to a measurably better embedding model."""
