"""The importance policy and its file (R12)."""

from pathlib import Path

import pytest

from clickstream.app.settings import Settings
from clickstream.conversion.importance import ImportancePolicy, load_policy

GRADES = {"view": 0.5, "click": 1.0, "purchase": 3.0}
GOOD = 'version = "v1"\n[grades]\nclick = 1\n'


@pytest.mark.parametrize(
    ("combine", "types", "grade"),
    [
        ("max", ["click", "purchase", "view"], 3.0),
        ("sum", ["click", "purchase", "view"], 4.5),
        ("last", ["click", "purchase", "view"], 0.5),
        ("max", ["other"], 0.25),
        ("sum", ["other", "click"], 1.25),
        ("last", ["purchase", "other"], 0.25),
        ("max", [], 0.0),
        ("sum", [], 0.0),
        ("last", [], 0.0),
    ],
)
def test_r12_grades_combine_as_the_policy_says(combine: str, types: list[str], grade: float) -> None:
    """R12: grades combine by max, sum or last; unknown types have the default grade; no act is grade 0."""
    assert ImportancePolicy("v1", GRADES, 0.25, combine).grade(types) == grade


def test_r12_the_default_policy_loads() -> None:
    """R12: the policy that the service ships is readable, and ranks deeper acts higher."""
    policy = load_policy(Settings.model_fields["importance_policy"].default)
    order = ["impression", "view", "click", "add_to_cart", "purchase"]
    grades = [policy.grade([each]) for each in order]
    assert grades == sorted(set(grades))
    assert (policy.combine, policy.grade(["unheard-of"]), policy.knows("unheard-of")) == ("max", 0.0, False)


def test_r12_what_a_file_leaves_out_has_stated_defaults(tmp_path: Path) -> None:
    """R12: without `combine` and `default_grade` it is max and 0."""
    file = tmp_path / "policy.toml"
    file.write_text(GOOD)
    assert load_policy(file) == ImportancePolicy("v1", {"click": 1.0}, 0.0, "max")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "version"),
        ('version = ""\n[grades]\nclick = 1', "version"),
        ("version = 1\n[grades]\nclick = 1", "version"),
        ('version = "v1"', "grades"),
        ('version = "v1"\ngrades = 3', "grades"),
        ('version = "v1"\n[grades]', "grades"),
        ('version = "v1"\n[grades]\nclick = -1', "grades.click"),
        ('version = "v1"\n[grades]\nclick = "1"', "grades.click"),
        ('version = "v1"\n[grades]\nclick = true', "grades.click"),
        ('version = "v1"\n[grades]\nclick = nan', "grades.click"),
        ('version = "v1"\n[grades]\nclick = inf', "grades.click"),
        ('version = "v1"\n[grades]\nclick = 1e300', "grades.click"),
        (f'version = "v1"\n[grades]\nclick = {10**400}', "grades.click"),
        ('version = "v1"\ndefault_grade = -0.1\n[grades]\nclick = 1', "default_grade"),
        ('version = "v1"\ncombine = "min"\n[grades]\nclick = 1', "combine"),
        ('version = "v1"\ncombine = ["max"]\n[grades]\nclick = 1', "combine"),
        ('version = "v1"\nweights = 1\n[grades]\nclick = 1', "weights"),
        ("version = ", "Invalid value"),
    ],
)
def test_r12_a_bad_file_is_named_with_the_bad_key(tmp_path: Path, text: str, named: str) -> None:
    """R12: a policy that cannot be used is refused with its file and the key that is wrong."""
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match="importance policy") as refused:
        load_policy(file)
    assert str(file) in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize("broken", ["missing", "folder", "binary"])
def test_r12_an_unreadable_file_is_named(tmp_path: Path, broken: str) -> None:
    """R12: a file that is not there, is a folder or is no text is named."""
    file = tmp_path / "policy.toml"
    if broken == "folder":
        file.mkdir()
    elif broken == "binary":
        file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"importance policy .*policy\.toml"):
        load_policy(file)


def test_r12_an_alias_has_the_grade_of_its_type() -> None:
    """R12: an event type that is an alias counts as its type, in a grade and where types are counted."""
    policy = ImportancePolicy("v1", GRADES, 0.25, "sum", {"item_click": "click"})
    assert policy.grade(["item_click", "click"]) == 2.0
    assert [policy.named(each) for each in ("item_click", "click", "other")] == ["click", "click", "other"]
    assert (policy.knows("item_click"), policy.knows("other")) == (True, False)


@pytest.mark.parametrize(
    ("aliases", "named"),
    [
        ("aliases = 3", "aliases"),
        ('[aliases]\nitem_click = "clicks"', "aliases.item_click"),
        ('[aliases]\nclick = "click"', "aliases.click"),
        ('[aliases]\na = "b"\nb = "click"', "aliases.a"),
        ("[aliases]\nitem_click = 1", "aliases.item_click"),
        ('[aliases]\n"a b" = "click"', "aliases.a b"),
        (f'[aliases]\n{"a" * 65} = "click"', "64"),
    ],
)
def test_a_bad_alias_is_named(tmp_path: Path, aliases: str, named: str) -> None:
    """An alias that no event can have, or that leads to no grade, is refused with its key."""
    file = tmp_path / "policy.toml"
    file.write_text(f'version = "v1"\n{aliases}\n[grades]\nclick = 1\n')
    with pytest.raises(ValueError, match=named):
        load_policy(file)


def test_the_default_policy_knows_the_names_of_others() -> None:
    """Well-known names for the same act have its grade without any setting."""
    policy = load_policy(Settings.model_fields["importance_policy"].default)
    assert {policy.named(each) for each in ("item_click", "select_item", "click_through")} == {"click"}
    assert policy.named("AddToCart") == "add_to_cart"
