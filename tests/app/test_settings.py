"""Settings that no process can work with are refused at its start."""

import math
from datetime import timedelta

import pytest
from click.testing import CliRunner
from support.builders import NOW

from clickstream.app.settings import Settings
from clickstream.cli.commands import main

FLOATS = sorted(name for name, field in Settings.model_fields.items() if field.annotation is float)
DURATIONS = [name for name in FLOATS if name != "mongod_cache_gb"]
EXTREMES = ["inf", "-inf", "nan", "1e12", "1e300", "-1"]


def longest(name: str) -> float:
    """The upper bound of a setting."""
    [bound] = [each.le for each in Settings.model_fields[name].metadata if hasattr(each, "le")]
    return float(bound)


def test_there_are_settings_to_check() -> None:
    """The names below are those of the real settings."""
    assert {"archive_after", "auto_release_age", "mongod_cache_gb", "run_lease", "store_timeout"} <= set(FLOATS)


@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize("name", FLOATS)
def test_a_number_beyond_all_sense_is_refused(name: str, value: str) -> None:
    """No number is infinite, none, negative or endless: the command ends before it begins, and names the setting."""
    ended = CliRunner().invoke(main, ["worker"], env={f"CLICKSTREAM_{name.upper()}": value})
    assert ended.exit_code == 2
    assert isinstance(ended.exception, SystemExit)
    assert ended.output.splitlines()[-1].startswith(f"Error: {name}: Input should be ")


@pytest.mark.parametrize("name", DURATIONS)
def test_the_longest_duration_can_be_computed_with(name: str) -> None:
    """The bound itself is allowed, the next number is not, and now has a time so long ago and so far ahead."""
    bound = longest(name)
    assert getattr(Settings(**{name: bound}), name) == bound
    with pytest.raises(ValueError, match=name):
        Settings(**{name: math.nextafter(bound, math.inf)})
    assert NOW - timedelta(seconds=bound) < NOW + timedelta(seconds=bound)
