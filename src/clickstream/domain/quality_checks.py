"""The checks of data quality and their marks; docs/quality.md says where each mark is from."""

from clickstream.domain.quality import Check

# The checks whose counts are sums over searches, so that groups have them, too.
OF_SEARCHES = (
    Check(
        "unshown_events",
        "events on objects that their search did not show, of all events",
        "Send the event with the session that showed the object, and register every shown result.",
        ("unshown", "events"),
        0.01,
        0.05,
    ),
    Check(
        "searches_with_click",
        "clickable searches with a click, of the clickable searches",
        "Check that clicks are sent, and under the id of the session that showed the result.",
        ("clicked", "clickable"),
        0.04,
        0.005,
        low_is_bad=True,
    ),
    Check(
        "first_place_clicks",
        "clicks at the first place, of all clicks",
        "Check that results keep their position, and that more than one result is shown.",
        ("first_place", "clicks"),
        0.9,
    ),
    Check(
        "early_events",
        "events dated before their search, of all stored events",
        "Compare the clocks of the backends that send searches and events.",
        ("events_early", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "events_after_1h",
        "events dated more than 1 hour after their search, of all stored events",
        "Check that a session id is not used again for a later search.",
        ("events_1h", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "events_after_24h",
        "events dated more than 24 hours after their search, of all stored events",
        "Send events when they happen: after the first training of a batch they no longer train.",
        ("events_24h", "stored_events"),
        0.01,
        0.05,
    ),
    Check(
        "purchases_alone",
        "purchases of a shown object without a click or add_to_cart on it before, of all such purchases",
        "Check that clicks are sent under the same session and object id as the purchase.",
        ("purchases_alone", "purchases"),
        0.05,
        0.25,
    ),
    Check(
        "searches_without_user",
        "searches without a user id, of all searches",
        "Send a pseudonym of the searching person as `user_id`: robots and refinements are found by it.",
        ("no_user", "searches"),
        0.2,
    ),
    Check(
        "items_without_text",
        "shown items without text by the item template, of those of one session in 20",
        "Send the parts that the item template names in `meta`, or name others in the template.",
        ("texts_empty", "texts"),
        0.05,
        0.25,
    ),
    Check(
        "items_of_one_word",
        "shown items with a text of one word, of those of one session in 20",
        "Send more of the item in `meta`: a model learns little from one word.",
        ("texts_word", "texts"),
        0.2,
    ),
    Check("searches_without_query", "searches without a query, of all searches", "", ("no_query", "searches")),
    Check("searches_without_results", "searches without results, of all searches", "", ("no_results", "searches")),
    Check("payload_searches", "payload searches, of all searches", "", ("payload", "searches")),
    Check(
        "unnamed_types",
        "events of types that the importance policy does not name, of all events",
        "Name these types in the importance policy, or as aliases: they train with its default grade.",
        ("unnamed", "events"),
        0.01,
        0.2,
    ),
    Check(
        "server_times",
        "searches without a `created_at` of the client, of all searches",
        "Send `created_at`: otherwise a search that is sent late counts as searched late.",
        ("server_time", "searches"),
        0.05,
    ),
    Check(
        "robots",
        "searches of robots, of all searches that are not marked irrelevant",
        "See who they are with `clickstream robots list`, and keep them away from the search page.",
        ("robot", "relevant"),
        0.05,
        0.2,
    ),
)

USERS_PER_TYPE = Check(
    "users_per_type",
    "distinct users of the event type that the fewest users have, of the named types that came",
    "Wait for more users: a few people decide what is learned from these events.",
    warn=100,
    low_is_bad=True,
)
VOLUME = Check(
    "volume",
    "searches of the last whole day, divided by the median of the same weekday in the 4 weeks before",
    "Check whether a backend stopped sending searches.",
    warn=0.5,
    fail=0.1,
    low_is_bad=True,
)
CONFLICTS = Check(
    "conflicts",
    "sessions and events that were refused because their id is taken by other content, of all that came",
    "Make a new id for every session and event, and send the same content in a retry.",
    ("conflicts", "arrivals"),
    0.001,
    0.01,
    is_approximate=True,
)
CLOCKS = Check(
    "refused_times",
    "sessions and events that were refused because of their `created_at`, of all that came",
    "Set the clocks of the backends, or mark an import of old data as `historical`.",
    ("refused_times", "arrivals"),
    0.05,
    is_approximate=True,
)
SMALLEST_GAIN = Check(
    "smallest_gain",
    "the smallest gain in nDCG@10 that the held-out queries with a click can show: 2.8 · SD / √n",
    "Collect more searches before training, so that more queries are held out.",
    warn=0.1,
)
SWAPPED_PAIRS = Check(
    "swapped_pairs",
    "pairs of query and item that were seen at two or more positions, of all pairs",
    "Let items swap places now and then: otherwise position bias cannot be told from relevance.",
    ("swapped", "pairs"),
    0.05,
    low_is_bad=True,
)
POSITION_GROUPS = Check(
    "position_groups", "groups of positions that no pair of query and item connects; 1: all can be compared"
)
DUPLICATE_TEXTS = Check(
    "duplicate_texts",
    "distinct items whose text another item has as well, of the items of the batch's first 5,000 sessions",
    "Add what distinguishes the items to `meta` and to the item template.",
    ("duplicate_texts", "text_items"),
    0.5,
)
REPEATED_QUERIES = Check(
    "repeated_queries",
    "searches whose query an earlier batch has as well, of the searches with a query",
    rate=("repeated", "with_query"),
)
