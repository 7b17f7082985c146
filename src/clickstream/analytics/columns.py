"""The frames of roll-ups and their columns. Every frame is a polars DataFrame, stored as compressed Arrow IPC.

Event types are named after the aliases of the importance policy. Of the events of one
session, object and type, one within 30 s of the one before does not count (COUNTER 5, double-click filtering). A column
`events.TYPE` is absent where no event has that type; absent counts as 0.

`searches` has one row per session that is not erased:

    batch u32, number u32      its place
    at Datetime(ms, UTC)       its created_at
    user Int64                 `domain.analytics.user_key`; 0: none
    irrelevant bool            marked irrelevant
    query str                  normalised as for training; "": none
    payload bool               a payload search
    client, sort str           "": none
    filtered bool              it has a filter with at least one entry
    context.PATH str?          one per declared path; null: absent
    shown u32                  number of results
    clickable bool             shown > 0, and no payload search
    first_click_ms Int64?      from `at` to its first click, at least 0; null: none
    click_place_sum Int64      sum of the 1-based places of its clicks
    clicks.1 … clicks.21 u32   clicks from this place to below the next one of CLICK_RANGES
    events.TYPE u32            events of the type on shown objects
    unshown.TYPE u32           events of the type on objects that were not shown
    graded bool                at least one event on a shown object, of a type with a grade above 0
    converts bool              it would give a training input, were its user no robot
    server_time bool           the client sent no created_at
    declared_agent bool        its `user_agent` says that it is a robot
    clicked_all bool           clicks on more than 90 % of at least 10 shown results, in list order
    stored_events u32          stored events, each of them, also of the same act
    events_early u32           those dated before the search; likewise
    events_1h, events_24h u32  those later than 1 hour, and 24 hours, after it
    purchases u32              shown objects with a purchase
    purchases_alone u32        those without a click or add_to_cart before the purchase, or at the same time
    texts u32                  shown results whose text was looked at: all of one session in TEXT_SESSIONS, otherwise 0
    texts_empty, texts_word u32   those without text by the item template, and with one word

`showings` has one row per shown result:

    number u32                 the session's number
    place u32                  1-based
    object str
    meta.PATH str?             one per declared path
    events.TYPE u32            events of the type on it, of types that the importance policy names

The row of a UTC day has `searches` of that day with two more columns, and an aggregate of the showings of its clickable
searches for each of `places`, `objects` and the declared `meta.PATH`:

    robot bool                 a robot verdict in force is about its user and day
    typing bool                the last column `collapse_typing` asks about: `analytics.day_frames` says when
    refined bool               the same user's next search of the day followed within 5 minutes

    at Datetime(ms, UTC)       the quarter of an hour; in `objects` the day's first moment
    irrelevant, typing, robot bool   those of the searches
    value u32 | str?           the place, object or value
    searches u32               distinct searches that showed it
    showings u32
    events.TYPE u32
    with.TYPE u32              distinct searches with such an event on it
"""

EVENTS = "events."
UNSHOWN = "unshown."
WITH = "with."
CLICKS = "clicks."
CLICK, ADD_TO_CART, PURCHASE = "click", "add_to_cart", "purchase"
# Event types beyond those that the importance policy names, per range; the rarer ones are counted as OTHER_TYPES.
TYPES_KEPT = 100
OTHER_TYPES = "(other)"
SAME_EVENT_MS = 30_000
# The texts of all results of one session in this many are looked at: rendering a template costs more than the rest.
TEXT_SESSIONS = 20
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
REFINED_MS = 300_000
TYPING_MS = 30_000
SEARCHES, SHOWINGS, PLACES, OBJECTS = "searches", "showings", "places", "objects"
# Rises with every change to what a frame means: rows of another version are made again.
FRAMES_VERSION = 2
