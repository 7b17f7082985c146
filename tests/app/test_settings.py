"""A setting that no process can work with is refused at the start."""

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
    """FLOATS are real settings."""
    assert {"archive_after", "auto_release_age", "mongod_cache_gb", "run_lease", "store_timeout"} <= set(FLOATS)


@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize("name", FLOATS)
def test_a_senseless_number_is_refused(name: str, value: str) -> None:
    """An infinite, undefined, negative or huge number ends the command at once, with the name of the variable."""
    ended = CliRunner().invoke(main, ["worker"], env={f"CLICKSTREAM_{name.upper()}": value})
    assert ended.exit_code == 2
    assert isinstance(ended.exception, SystemExit)
    assert ended.output.splitlines()[-1].startswith(f"Error: CLICKSTREAM_{name.upper()}: Input should be ")


@pytest.mark.parametrize("name", DURATIONS)
def test_the_longest_duration_can_be_computed_with(name: str) -> None:
    """The upper bound is allowed, the next number is refused, and now minus or plus the bound is still a date."""
    bound = longest(name)
    assert getattr(Settings(**{name: bound}), name) == bound
    with pytest.raises(ValueError, match=name):
        Settings(**{name: math.nextafter(bound, math.inf)})
    assert NOW - timedelta(seconds=bound) < NOW + timedelta(seconds=bound)
