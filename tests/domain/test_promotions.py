import pytest
from support.builders import NOW

from clickstream.domain.promotions import BASE, Promotion, starting_model

SERVING = Promotion(1, "version-1", 0, "p-1", rollback=False, forced=False, reason="", promoted_at=NOW)


@pytest.mark.parametrize(
    ("named", "configured", "current", "expected"),
    [
        ("", "configured", SERVING, "version-1"),
        ("", "configured", None, "configured"),
        ("", "", None, BASE),
        (BASE, "configured", SERVING, "configured"),
        (BASE, "", SERVING, BASE),
        ("other", "configured", SERVING, "other"),
        ("promoted", "configured", SERVING, "promoted"),
    ],
)
def test_r17_a_run_starts_from_what_serves_unless_it_names_a_model(
    named: str, configured: str, current: Promotion | None, expected: str
) -> None:
    """R17: absent is what serves, otherwise the configured base model; `base` is that one; other names stay."""
    assert starting_model(named, configured, current) == expected
