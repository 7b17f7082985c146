"""`clickstream analytics`, against a running server."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from support.builders import NOW, create_request, event, push_request
from support.rollup_making import make_all
from support.servers import POLICY, Clock, InProcessServer

from clickstream.analytics.frame_rules import FrameRules
from clickstream.analytics.rollups import RollUps
from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.domain.analytics import Segments

END = ("--to", f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M}")
WINDOW = ("--from", f"{NOW:%Y-%m-%d}", "--to", f"{NOW:%Y-%m-%d}T23:59", "--time-zone", "Europe/Berlin")


@pytest.fixture
def run(server: InProcessServer, clock: Clock) -> Callable[..., Result]:
    """Runs a command against a server with a few searches."""
    for number in range(4):
        request = create_request(
            f"s-{number}", query=f"[red] {number % 2}", client={"name": "web" if number else "app"}
        )
        server.clickstream.CreateSession(request)
    server.clickstream.PushEvents(push_request("s-1", event("e-1", "b"), event("e-2", "zz")))
    make_all(RollUps(server.dao, FrameRules(POLICY, Segments(("locale",), ("brand",)), "{title}")), server.dao)
    clock.forward(60)
    return lambda *words: CliRunner().invoke(main, ["analytics", *words, "--address", server.address])


def test_figures_are_shown_with_their_counts(run: Callable[..., Result]) -> None:
    """Rows by time and value, then the whole window with counts beside each rate, and what it covers."""
    done = run("figures", *WINDOW, "--by", "day", "--dimension", "query", "--limit", "1")
    assert done.exit_code == 0, done.output
    assert "[red] 0" in done.output
    assert "1 of 2 values; --limit N shows more." in done.output
    assert "click through rate: 25.0 % (4.6-69.9), 1 of 4" in done.output
    assert "events on objects that were not shown: 1" in done.output
    assert "(Europe/Berlin), roll-ups are still being made: not complete." in done.output


def test_figures_as_json_have_the_contracts_names(run: Callable[..., Result]) -> None:
    """One object, with the contract's names."""
    answer = json.loads(
        run("figures", "--last", "2d", *END, "--filter", "client=web", "--filter", "client=app", "--json").output
    )
    assert answer["total"]["searches"] == "4"
    assert answer["total"]["click_through_rate"]["numerator"] == "1"


def test_a_list_is_shown(run: Callable[..., Result]) -> None:
    """Values are shown as they are, with searches, clicks and rate."""
    done = run("top", "queries", *WINDOW)
    assert done.exit_code == 0, done.output
    assert done.output.index("[red] 0") < done.output.index("[red] 1")
    rows = run("top", "items-without-clicks", "--min-searches", "1", "--json", "--limit", "1").output.splitlines()
    assert [json.loads(row)["value"] for row in rows] == ["a"]
    assert run("top", "rising", "--filter", "client=other").output == "nothing to show\n"


def test_two_segments_and_two_windows_are_compared(run: Callable[..., Result]) -> None:
    """Both sides, the difference in percentage points, and every warning."""
    done = run("compare", *END, "--first", "client=app", "--second", "client=web")
    assert done.exit_code == 0, done.output
    assert "searches: 1 and 3" in done.output
    assert "+33.33" in done.output
    assert "Warning: the first side has 1 searches only." in done.output
    assert "searches: 0 and 4" in run("compare", *END, "--before", "--last", "1d").output


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("figures", "--last", "3 days"), "12h, 30d or 4w", ExitCode.WRONG_USE),
        (("figures", "--from", "yesterday"), "2026-11-26", ExitCode.WRONG_USE),
        (("figures", "--from", "2026-11-26", "--last", "1d"), "not both", ExitCode.WRONG_USE),
        (("figures", "--time-zone", "Mars"), "Europe/Berlin", ExitCode.WRONG_USE),
        (("figures", "--filter", "client"), "DIMENSION=VALUE", ExitCode.WRONG_USE),
        (("compare",), "--before", ExitCode.WRONG_USE),
        (("figures", "--dimension", "colour"), "dimension: must be one of", ExitCode.REFUSED),
    ],
)
def test_a_mistake_is_said(run: Callable[..., Result], words: tuple[str, ...], said: str, code: ExitCode) -> None:
    """A mistake in the command ends it with 2, one that the service finds with 5."""
    done = run(*words)
    assert (done.exit_code, said in done.output + (done.stderr or "")) == (code, True), done.output
