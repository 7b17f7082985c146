"""Where a listing stands."""

from datetime import datetime

ListCursor = tuple[datetime, str]
"""Where a listing by time stands: the last row's time and id."""
