"""The optimizer's loop and its parts."""
