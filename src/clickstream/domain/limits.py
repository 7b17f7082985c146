"""The stated limits (R7). The contract's comments and docs/reference/limits.md repeat these numbers."""

ID_CHARACTERS = 256
RUN_ID_CHARACTERS = 128
TYPE_CHARACTERS = 64
# Reasons that people give, and names and templates in settings.
TEXT_CHARACTERS = 1_024
# The characters of event types, run ids and model version ids.
NAME_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
QUERY_CHARACTERS = 4_096
SORT_CHARACTERS = 256
CLIENT_NAME_CHARACTERS = 128
CLIENT_VERSION_CHARACTERS = 64
USER_AGENT_CHARACTERS = 512
# What a search asked of its engine; PAGE_SIZE below bounds the pages that this service answers.
SEARCH_PAGE_OFFSET = 1_000_000
SEARCH_PAGE_SIZE = 1_000
RESULTS_PER_SESSION = 1_000
POSITION = 1_000_000
EVENTS_PER_CALL = 1_000
META_BYTES = 16 * 1024
META_DEPTH = 16
SESSION_BYTES = 1024 * 1024
EVENT_BYTES = 20 * 1024
REQUEST_BYTES = 4 * 1024 * 1024
# Bound of gRPC's transport: requests beyond REQUEST_BYTES are received and refused with an explanation.
TRANSPORT_BYTES = 2 * REQUEST_BYTES
EMBED_TEXTS = 256
EMBED_TEXT_CHARACTERS = 8_192
# Texts of all callers that may wait to be embedded at once.
WAITING_TEXTS = 4_096
# Models that stay loaded.
LOADED_MODELS = 2
MODEL_CHUNK_BYTES = 1024 * 1024
# Unacknowledged messages of one Ingest stream; the server reads no more of it beyond.
INGEST_WINDOW_BYTES = 8 * 1024 * 1024

PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100
# Two sessions of full size with all their listed events stay below 4 MiB, gRPC's default limit for a received
# message.
PAGE_BYTES = 2 * 1024 * 1024
LISTED_EVENTS = 10_000
LISTED_EVENT_BYTES = 1024 * 1024
BATCHES_PER_RUN = 100
# The most sessions of the improvement queue in one run.
IMPROVEMENT_GROUP = 10_000
# The most sessions of one query in a run, where more sessions wait than one run takes: every query gets its turn.
IMPROVEMENT_GROUP_OF_A_QUERY = 100
# The most waiting sessions that are read to choose those of a run.
IMPROVEMENT_LOOK = 100_000
JUDGED_QUERIES = 10_000
JUDGEMENTS = 100_000
# Below REQUEST_BYTES, to leave room for the rest of a FineTuneStart.
JUDGEMENT_BYTES = 3 * 1024 * 1024
MAX_GRADE = 10
STATUS_CHANGES_KEPT = 100
# Violations that a refusal names, and bytes of a field's path that it shows: a refusal costs about its own size.
NAMED_VIOLATIONS = 20
PATH_BYTES = 160
# Figures: parts of time, values of a dimension, filters and their values.
FIGURE_BUCKETS = 400
FIGURE_VALUES = 100
DEFAULT_FIGURE_VALUES = 20
FIGURE_FILTERS = 10
FILTER_VALUES = 100
# Events that one answer reads from the sessions themselves, where the roll-ups do not hold it.
FIGURE_RAW_EVENTS = 1_000_000
# Shown results that one answer counts one by one, where the roll-ups have no sums of them.
FIGURE_SHOWINGS = 5_000_000
# Batches of one page of their progress.
PROGRESS_PAGE_SIZE, DEFAULT_PROGRESS_PAGE_SIZE = 100, 20
# UTC days of one dry run of a robot policy, and bytes of that policy.
PREVIEW_DAYS = 31
ROBOT_POLICY_BYTES = 64 * 1024
# Declared paths of `context` and `meta`.
SEGMENTS = 8
