"""The stated limits (R7). The contract's comments and the README's table repeat these numbers."""

ID_CHARACTERS = 256
RUN_ID_CHARACTERS = 128
TYPE_CHARACTERS = 64
# Reasons that people give, and names and templates in settings.
TEXT_CHARACTERS = 1_024
# The characters of event types, run ids and model version ids.
NAME_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
QUERY_CHARACTERS = 4_096
RESULTS_PER_SESSION = 1_000
POSITION = 1_000_000
EVENTS_PER_CALL = 1_000
META_BYTES = 16 * 1024
META_DEPTH = 16
SESSION_BYTES = 1024 * 1024
EVENT_BYTES = 20 * 1024
REQUEST_BYTES = 4 * 1024 * 1024
# Bound of gRPC's transport: requests beyond REQUEST_BYTES are received and refused in words.
TRANSPORT_BYTES = 4 * REQUEST_BYTES
EMBED_TEXTS = 256
EMBED_TEXT_CHARACTERS = 8_192
# Texts of all callers that may wait to be embedded, and models that stay loaded.
WAITING_TEXTS = 4_096
LOADED_MODELS = 2
MODEL_CHUNK_BYTES = 1024 * 1024
# Unacknowledged messages of one Ingest stream beyond which nothing more is read.
INGEST_WINDOW_BYTES = 8 * 1024 * 1024

PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100
# Two sessions of full size with all their listed events stay below gRPC's default of 4 MiB
# for a received message.
PAGE_BYTES = 2 * 1024 * 1024
LISTED_EVENTS = 10_000
LISTED_EVENT_BYTES = 1024 * 1024
BATCHES_PER_RUN = 100
# Sessions of the improvement queue that one run takes at most.
IMPROVEMENT_GROUP = 10_000
# … and so many, where more wait, of one query: the others would else have no turn.
IMPROVEMENT_GROUP_OF_A_QUERY = 100
# So many of those that wait are looked at for them.
IMPROVEMENT_LOOK = 100_000
JUDGED_QUERIES = 10_000
JUDGEMENTS = 100_000
# Below REQUEST_BYTES by what else a FineTuneStart holds.
JUDGEMENT_BYTES = 3 * 1024 * 1024
MAX_GRADE = 10
STATUS_CHANGES_KEPT = 100
# Violations that a refusal names, and bytes of a field's path that it shows: a refused request costs its own size.
NAMED_VIOLATIONS = 20
PATH_BYTES = 160
