"""The frames of roll-ups and their columns. Every frame is a polars DataFrame, stored as compressed Arrow IPC.

The types are after the aliases of the importance policy. An *act* is an event on a shown object; acts of one type on
one object within 30 s of the one before are one act (COUNTER 5, double-click filtering). Columns named `acts.TYPE` are
absent in a frame in which no event has that type; absent counts as 0.
"""

# Frame `searches`: one row per session that is not erased.
#
#   batch u32, number u32        its place
#   at Datetime("ms", "UTC")     its created_at
#   user Int64                   `domain.analytics.user_key`; 0: none
#   irrelevant bool              marked irrelevant
#   query str                    normalised as for training; "": none
#   payload bool                 a payload search
#   client, sort str             "": none
#   filtered bool                the session has a filter with at least one entry
#   context.PATH str?            one per declared path; null: absent. Numbers and flags as JSON writes them
#   shown u16                    number of results
#   clickable bool               shown > 0 and not payload
#   first_click_ms Int64?        from `at` to the first act of type `click`, at least 0; null: none
#   click_place_sum u32          sum of the 1-based places of its clicks
#   clicks.1, clicks.2, clicks.3, clicks.5, clicks.9, clicks.17, clicks.21 u16
#                                clicks at the places from this number to below the next
#   acts.TYPE u32                acts of the type
#   unshown.TYPE u32             events of the type on objects that were not shown, counted once within 30 s alike
#   graded bool                  at least one act of a type with a grade above 0
#   skip str                     why it gives no training input now; "": it gives one
#   server_time bool             the client sent no created_at
#   agent bool                   its user_agent is a declared robot's
#   clicked_all bool             more than 90 % of 10 or more results were clicked, first clicks in list order
#   events u32                   stored events, each counted: the denominator of the checks on events
#   events_early, events_1h, events_24h u32
#                                events that are dated before the search, more than 1 h and more than 24 h after it
#   events_unnamed u32           events of types that the importance policy does not name
#   events_unshown u32           events on objects that were not shown, each counted
#   purchases u32                purchase events on shown objects
#   purchases_alone u32          those without a click or add_to_cart on that object before them in the session
#   texts u16                    text results (kind text)
#   texts_empty, texts_short u16 those without text under the item template; those with a text of one word
#
# Frame `showings`: one row per shown result.
#
#   number u32                   the session's number
#   place u32                    1-based
#   object str
#   meta.PATH str?               one per declared path
#   acts.TYPE u16                acts of the type on it
#
# A UTC day's row has these frames, made from the rows of all ranges with a session on that day:
#
#   searches                     as above, of that day, and
#       robot bool                 the verdicts about the day say so
#       typing bool                left out by `collapse_typing`
#       refined bool               the same user's next search of the day followed within 5 minutes
#                                  (both among searches that are not irrelevant; equal times by batch, number)
#   places, objects, meta.PATH   showings of clickable searches by value, and by the flags of their searches:
#       at Datetime                the quarter of an hour; in `objects` the day's first moment
#       irrelevant, robot, typing bool
#       value                      place u32, object str, or the segment's value str?
#       searches u32               distinct searches that showed it
#       showings u32
#       acts.TYPE u32
#       with.TYPE u32              distinct searches with such an act on it

ACTS = "acts."
UNSHOWN = "unshown."
WITH = "with."
CONTEXT = "context."
META = "meta."
CLICK, ADD_TO_CART, PURCHASE = "click", "add_to_cart", "purchase"
CLICK_RANGES = ((1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 20), (21, 0))
"""The ranges of places in which clicks are counted: first and last place; 0: no end."""
SAME_ACT_SECONDS = 30
REFINED_SECONDS = 300
TYPING_SECONDS = 30
SEARCHES, SHOWINGS, PLACES, OBJECTS = "searches", "showings", "places", "objects"
