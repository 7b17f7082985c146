"""One rule says what a run id is, for requests and for the training module."""

import pytest

from clickstream.domain import limits
from clickstream.domain.runs import is_run_id


@pytest.mark.parametrize("value", ["r", "run-1", "Run_1.b", "a..b", "-", "1" * limits.RUN_ID_CHARACTERS])
def test_r7_letters_digits_and_three_signs_make_a_run_id(value: str) -> None:
    """R7: 1 to 128 letters, digits, `_`, `-` or `.` are a run id."""
    assert is_run_id(value)


@pytest.mark.parametrize(
    "value", ["", ".", "..", ".run", "a/b", "../x", "a b", "a\n", "ä", "a\0", "1" * (limits.RUN_ID_CHARACTERS + 1)]
)
def test_r7_a_value_that_could_leave_its_folder_is_no_run_id(value: str) -> None:
    """R7: an empty or long value, another character, or a leading dot is no run id."""
    assert not is_run_id(value)
