"""Where a listing stands."""

from datetime import datetime

# Where a listing by time stands: the last row's time and id.
ListCursor = tuple[datetime, str]
