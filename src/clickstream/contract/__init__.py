"""Generated messages and domain objects, turned into each other; the one place that knows both."""
