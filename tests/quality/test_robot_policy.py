"""The robot policy: its file, and what its marks say."""

from pathlib import Path

import pytest

from clickstream.domain.robots import RobotClass
from clickstream.quality.robot_policy import PACKAGED_ROBOT_POLICY, RULES, load_robot_policy, parse_robot_policy

PACKAGED = load_robot_policy(PACKAGED_ROBOT_POLICY)


@pytest.mark.parametrize(
    ("values", "expected", "findings"),
    [
        ({}, RobotClass.HUMAN, []),
        ({"searches": 49}, RobotClass.HUMAN, []),
        ({"searches": 50}, RobotClass.UNSURE, ["searches"]),
        ({"searches": 1_000}, RobotClass.ROBOT, ["searches"]),
        ({"burst": 20}, RobotClass.UNSURE, ["burst"]),
        ({"burst": 20, "fast_changes": 20}, RobotClass.ROBOT, ["burst", "fast_changes"]),
        ({"burst": 20, "fast_changes": 19}, RobotClass.UNSURE, ["burst", "fast_changes"]),
        ({"burst": 20, "continuous_hours": 20.5}, RobotClass.ROBOT, ["burst", "continuous_hours"]),
        ({"same_query": 500}, RobotClass.ROBOT, ["same_query"]),
        ({"clicked_all": 1}, RobotClass.UNSURE, ["clicked_all"]),
        ({"clicked_all": 3}, RobotClass.ROBOT, ["clicked_all"]),
        ({"equal_intervals": 19}, RobotClass.HUMAN, []),
        ({"equal_intervals": 20}, RobotClass.ROBOT, ["equal_intervals"]),
        ({"declared_agent": 1}, RobotClass.ROBOT, ["declared_agent"]),
        ({"declared_agent": 1, "searches": 60}, RobotClass.ROBOT, ["declared_agent", "searches"]),
    ],
)
def test_one_strong_rule_or_two_others_make_a_robot(
    values: dict[str, float], expected: RobotClass, findings: list[str]
) -> None:
    """A mark is reached by its own value; what makes a robot is found first."""
    found, beyond = PACKAGED.judge(dict.fromkeys(RULES, 0.0) | values)
    assert (found, [each.rule for each in beyond]) == (expected, findings)


def test_a_policy_need_not_have_every_rule() -> None:
    """A rule that the policy leaves out judges nobody."""
    policy = parse_robot_policy('version = "own"\n[rules.searches]\nrobot_from = 3')
    assert policy.judge(dict.fromkeys(RULES, 1e9))[0] is RobotClass.UNSURE
    assert policy.judge({**dict.fromkeys(RULES, 1e9), "searches": 2})[0] is RobotClass.HUMAN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1", "`version` must be a text"),
        ('version = "a"', "`rules` must be a table"),
        ('version = "a"\nother = 1', "unknown key 'other'"),
        ('version = "a"\n[rules.unheard]\nrobot_from = 1', "`rules.unheard` is unknown; there are searches"),
        ('version = "a"\n[rules.searches]\nrobot_below = 1', "`rules.searches` must have the keys"),
        ('version = "a"\n[rules.searches]\nstrong = true', "must have `human_below` or `robot_from`"),
        (
            'version = "a"\n[rules.searches]\nstrong = 1\nrobot_from = 1',
            "searches.strong` must be true or false",
        ),
        ('version = "a"\n[rules.searches]\nrobot_from = 0', "`rules.searches.robot_from` must be a number above 0"),
        ('version = "a"\n[rules.searches]\nrobot_from = nan', "`rules.searches.robot_from` must be a number above 0"),
        ('version = "a"\n[rules.searches]\nhuman_below = 5\nrobot_from = 4', "must not be above `robot_from`"),
        ("version = ", "Invalid value"),
    ],
)
def test_a_bad_policy_is_refused_by_its_key(text: str, message: str, tmp_path: Path) -> None:
    """The error names the file and the key, and says what is allowed."""
    path = tmp_path / "robots.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"robot policy .*robots.toml: .*{message.replace('`', '.')}"):
        load_robot_policy(path)
