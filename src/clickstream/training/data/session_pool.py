"""Pools the sessions by query, item and position while the inputs are read."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count, islice

import numpy as np

from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.item_template import ItemTemplate
from clickstream.domain.query_split import MOST_FOLDS, is_held_out, normalised
from clickstream.domain.runs import FineTuningSettings
from clickstream.domain.training_inputs import TrainingInput
from clickstream.training.clicks.click_log import ClickLog, Counts, Flags, Ints, Sessions, joined
from clickstream.training.clicks.held_out_sample import Draws, HeldOutSample
from clickstream.training.data.item_texts import ItemTexts
from clickstream.training.data.repeated_searches import RepeatedSearches

# Inputs and results that wait at most before they are counted together; it bounds memory.
INPUTS_AT_ONCE = 1_000
RESULTS_AT_ONCE = 20_000

# The part of sessions that are outside of the time of their query.
OUTSIDE_TIME = -1

# Spreads the seeds over all numbers: 2^64 divided by the golden ratio. Source: Knuth, "The Art of Computer
# Programming", volume 3, section 6.4.
SEED_STEP = 0x9E3779B97F4A7C15

# Spellings of queries that are remembered at most, so that memory does not grow with them.
SPELLINGS = 100_000


@dataclass(slots=True)
class SessionPool:
    """The counts of all sessions, by numbers of normalised queries and of items, and by position.

    `items` numbers the object ids, `queries` the normalised queries, `spelled` has each query as it was first
    written. `logs` has the sessions by their part, without those in `held_out_sample`: a session of part k measures the
    k-th fold, counted from 1, and trains the others; one of part 0 trains all. Numbers are in the order of reading,
    so the same inputs give the same order of everything. Inputs are counted some at a time: `finish` counts the last.
    """

    template: ItemTemplate
    settings: FineTuningSettings
    input_count: int = 0
    inputs_without_text: int = 0
    inputs_outside_time: int = 0
    items: defaultdict[str, int] = field(default_factory=lambda: defaultdict(count().__next__))
    queries: dict[str, int] = field(default_factory=dict)
    spelled: list[str] = field(default_factory=list)
    logs: dict[int, ClickLog] = field(default_factory=lambda: {0: ClickLog()})
    repeats: RepeatedSearches = field(default_factory=RepeatedSearches)
    held_out_sample: HeldOutSample = field(default_factory=HeldOutSample)
    batch_ids: dict[str, None] = field(default_factory=dict)
    policy_versions: dict[str, None] = field(default_factory=dict)
    texts: ItemTexts = field(init=False)
    _normalised: dict[str, str] = field(default_factory=dict)
    _waiting: list[TrainingInput] = field(default_factory=list)
    _waiting_results: int = 0
    _digest_of_sessions: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _digest_of_results: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self.texts = ItemTexts(self.template)

    def add(self, training_input: TrainingInput) -> None:
        """Counts one session, or counts that it was left out: without text, or outside of the split's time."""
        self._waiting.append(training_input)
        self._waiting_results += len(training_input.results)
        if len(self._waiting) >= INPUTS_AT_ONCE or self._waiting_results >= RESULTS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Counts the sessions that wait."""
        inputs, self._waiting, self._waiting_results = self._waiting, [], 0
        self.input_count += len(inputs)
        self.batch_ids.update(dict.fromkeys(each.batch_id for each in inputs))
        self.policy_versions.update(dict.fromkeys(each.policy_version for each in inputs))
        results = [result for each in inputs for result in each.results]
        known = len(self.items)
        item = list(map(self.items.__getitem__, [result.object_id for result in results]))
        new_ids = list(islice(reversed(self.items), len(self.items) - known))[::-1]
        ids, texts = self.texts.hashes(new_ids, item, [result.meta for result in results])
        length = np.array([len(each.results) for each in inputs], np.int64)
        grade = np.array([result.grade for result in results], np.float64)
        position = np.array([result.position for result in results], np.int64)
        sessions = Sessions(np.zeros(len(inputs), np.int64), length, np.array(item, np.int64), position, grade)
        with_text = _with_text(sessions, texts != 0)
        self.inputs_without_text += int((~with_text).sum())
        part = np.full(len(inputs), OUTSIDE_TIME)
        for index in np.flatnonzero(with_text).tolist():
            each = inputs[index]
            key = self._key(each.query)
            self.repeats.add(key, each.batch_id)
            part[index] = self._part(key, each)
            counts = bool(part[index] != OUTSIDE_TIME)
            line = (each.query, each.policy_version, counts, len(each.results))
            self._digest_of_sessions.update(repr(line).encode("utf-8", "surrogatepass"))
            if counts:
                sessions.query[index] = number = self.queries.setdefault(key, len(self.queries))
                if number == len(self.spelled):
                    self.spelled.append(each.query.strip())
        trained = with_text[sessions.session]
        # Every number as 8 bytes, result after result.
        columns = [ids, position.view(np.uint64), grade.view(np.uint64), texts]
        self._digest_of_results.update(np.column_stack(columns)[trained].tobytes())
        self.inputs_outside_time += int((with_text & (part == OUTSIDE_TIME)).sum())
        later = np.flatnonzero(part > 0)
        if len(later):
            self.logs.setdefault(1, ClickLog()).add(sessions.take(later))
        kept = np.flatnonzero(part == 0)
        draws = draws_of([inputs[index].session_id for index in kept.tolist()])
        self._log(*self.held_out_sample.offer(draws, sessions.take(kept)))

    def _log(self, draws: Draws, sessions: Sessions) -> None:
        settings = self.settings
        share = settings.held_out_session_share if settings.held_out_after is None else 0.0
        parts = session_parts(draws, settings.seed, share)
        for part in np.unique(parts).tolist():
            self.logs.setdefault(part, ClickLog()).add(sessions.take(np.flatnonzero(parts == part)))

    def add_held_out_sample(self) -> None:
        """Adds the sessions of `held_out_sample` to the logs. For one call, after the click models are compared."""
        self._log(self.held_out_sample.draws, self.held_out_sample.sessions)

    def counts(self, without_part: int | None = None) -> Counts:
        """The counts of all parts, or of all but one."""
        return joined([self.logs[part].counts() for part in sorted(self.logs) if part != without_part])

    def fingerprint(self) -> str:
        """The SHA-256, in hexadecimal digits, over the inputs as trained."""
        return hashlib.sha256(self._digest_of_sessions.digest() + self._digest_of_results.digest()).hexdigest()

    def _key(self, query: str) -> str:
        key = self._normalised.get(query)
        if key is None:
            if len(self._normalised) >= SPELLINGS:
                self._normalised.clear()
            key = self._normalised[query] = normalised(query)
        return key

    def _part(self, key: str, training_input: TrainingInput) -> int:
        """The part of a session by its time: later sessions measure, those of a training query as part 1.

        `OUTSIDE_TIME` if the session takes no part; 0 without a split by time.
        """
        settings = self.settings
        if settings.held_out_after is None:
            return 0
        if training_input.searched_at is None:
            raise FailedPrecondition(
                Reason.TRAINING_IMPOSSIBLE,
                f"session {training_input.session_id!r} has no time, and `held_out_after` splits by time",
            )
        later = training_input.searched_at > settings.held_out_after
        if later == is_held_out(key, settings.seed, settings.held_out_share):
            return 0
        return 1 if later and settings.held_out_session_share else OUTSIDE_TIME


def _with_text(sessions: Sessions, has_text: Flags) -> Flags:
    """Which sessions have a usable item text: among the items acted on or, without acts, among all shown; [S].

    `domain.training_inputs.has_text` says the same for one session.
    """
    session, count = sessions.session, len(sessions.query)
    acted = sessions.grade > 0
    of_acted = np.bincount(session[acted & has_text], minlength=count) > 0
    of_all: Ints = np.bincount(session[has_text], minlength=count)
    with_text: Flags = np.where(np.bincount(session[acted], minlength=count) > 0, of_acted, of_all > 0)
    return with_text


def draws_of(session_ids: Sequence[str]) -> Draws:
    """A number for each session, uniformly distributed over 64 bits, and always the same for one id."""
    draws = b"".join(blake2b(each.encode(), digest_size=8).digest() for each in session_ids)
    return np.frombuffer(draws, ">u8").astype(np.uint64)


def session_parts(draws: Draws, seed: int, share: float) -> Ints:
    """The part of each session: the fold, counted from 1, that it measures and does not train; 0 if it trains all.

    Each of up to `MOST_FOLDS` folds gets `share` of the sessions. The lower half of the draw decides, moved by the
    seed; the upper half decides about `HeldOutSample`.
    """
    if not share:
        return np.zeros(len(draws), np.int64)
    fraction = ((draws + np.uint64(seed * SEED_STEP % 2**64)) % np.uint64(2**32)).astype(np.float64) / 2**32
    parts = (fraction / share).astype(np.int64) + 1
    return np.where(parts > MOST_FOLDS, 0, parts)
