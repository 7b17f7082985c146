from dataclasses import replace

from support.builders import evaluation

from clickstream.training.encoder.model_card import evaluation_lines


def test_r17_a_card_shows_every_metric_with_its_interval() -> None:
    """R17: base, new, gain and interval of each metric on the held-out queries."""
    lines = evaluation_lines(replace(evaluation(), segments=(), judged=None), 20)
    assert "| 20 queries | base | new | gain | 95 % interval |" in lines
    assert "| nDCG@10 | 0.3000 | 0.5000 | +0.2000 | +0.1000 to +0.3000 |" in lines
    assert "| MRR@10 | 0.2500 | 0.7500 | +0.5000 | +0.4000 to +0.6000 |" in lines
    assert "| Recall@10 | 0.5000 | 0.5000 | +0.0000 | -0.1000 to +0.1000 |" in lines
    assert "| Recall@100 | 0.5000 | 0.7500 | +0.2500 | +0.1250 to +0.5000 |" in lines
    assert not [line for line in lines if "judged queries" in line or "By kind" in line]


def test_r17_a_card_shows_segments_and_judged_queries() -> None:
    """R17, R18: each segment has a row, and both groups of judged queries have a table, with the counts left out."""
    lines = evaluation_lines(evaluation(), 20)
    assert "| words | 3 to 4 | 5 | 0.3000 | 0.5000 | +0.2000 | +0.1000 to +0.3000 |" in lines
    for count in (30, 40):
        assert f"| {count} queries | base | new | gain | 95 % interval |" in lines
    text = " ".join(lines)
    assert "`f00d`" in text
    assert "3 more queries" in text
    assert "17 judgements are on unknown items" in text
