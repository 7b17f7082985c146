"""How a listing goes on."""

from datetime import datetime

# The time and id of the last row of a page; the next page begins behind it.
ListCursor = tuple[datetime, str]
