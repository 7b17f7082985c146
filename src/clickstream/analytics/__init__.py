"""Figures: roll-ups of sessions and events, and the answers that are computed from them."""
