"""The model card: README.md of a model folder, in Markdown."""

import dataclasses
from collections.abc import Sequence

from clickstream.domain.evaluations import ClickModelScore, Comparison, Evaluation, Gain, JudgedEvaluation, Segment
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.runs import FineTuningSettings


def model_card(version: ModelVersion, settings: FineTuningSettings) -> str:
    """Writes the whole card of a model version."""
    data = version.data
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "---",
        "",
        f"# {version.model_version_id}",
        "",
        f"`{version.base_model}`, fine-tuned on search clicks.",
        f"{'Passed' if version.gate_passed else 'Did not pass'} its gate: {version.gate_reason}.",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        "",
        "model = SentenceTransformer(path_of_this_folder)",
        "```",
        "",
        *evaluation_lines(version.evaluation, data.held_out_queries),
        *click_model_lines(version.click_models),
        "## Data",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {count} |" for name, count in dataclasses.asdict(data).items()),
        f"| batches | {', '.join(version.batch_ids)} |",
        f"| importance policy | {version.policy_version} |",
        f"| SHA-256 over the inputs | `{version.data_fingerprint}` |",
        "",
        "## Settings",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | `{value}` |" for name, value in dataclasses.asdict(settings).items()),
        f"| run | {version.run_id} |",
        f"| created | {version.created_at.isoformat()} |",
        "",
    ]
    return "\n".join(lines)


def evaluation_lines(evaluation: Evaluation, held_out_queries: int) -> list[str]:
    """The section on measuring: the held-out queries, their segments and, if given, the judged queries."""
    held_out = Comparison(
        held_out_queries,
        evaluation.base,
        evaluation.new,
        evaluation.ndcg_gain,
        evaluation.mrr_gain,
        evaluation.recall_gain,
        evaluation.recall_at_100_gain,
    )
    return [
        "## Measured on searches that nobody made",
        "",
        "Every known item is ranked for queries that training never saw, and scored by what was done with it in",
        "their sessions, corrected for position bias as stated below. An item that was never shown for a query counts",
        "as irrelevant to it, which favours the model that made the lists; these are clicks, not judgements.",
        *_how_measured(evaluation.folds),
        "",
        *_table(held_out),
        *_repeated(evaluation),
        *_step_scale(evaluation),
        *_segments(evaluation.segments),
        *_judged(evaluation.judged),
    ]


def _how_measured(folds: int) -> list[str]:
    if folds == 1:
        return []
    return [
        f"With {folds} folds, each query is measured by a model that was trained on the other folds. The weights in",
        "this folder lie on the way to the mean over the folds: that model itself was trained on all queries.",
    ]


def _repeated(evaluation: Evaluation) -> list[str]:
    if evaluation.repeated is None or evaluation.weighted_gain is None:
        return []
    return [
        "### Measured on searches that people repeat",
        "",
        "Trained queries, by sessions that did not train. "
        f"{evaluation.repeated_share:.0%} of the searches repeat an earlier one ({evaluation.repeated_share_basis}).",
        f"Weighted by that, the gain in nDCG@10 over all searches is {evaluation.weighted_gain}.",
        "",
        *_table(evaluation.repeated),
    ]


def _step_scale(evaluation: Evaluation) -> list[str]:
    lines = [f"Step scale: {evaluation.step_scale:.2f} of the way from the base model to the trained weights.", ""]
    if evaluation.step_scales:
        lines += [
            "| scale of one fold | nDCG@10, held-out queries | nDCG@10, repeated queries among their shown items |",
            "|---|---|---|",
            *(
                f"| {each.scale:.2f} | {each.held_out_ndcg_at_10:.4f} | {each.repeated_ndcg_at_10:.4f} |"
                for each in evaluation.step_scales
            ),
            "",
        ]
    return lines


def click_model_lines(scores: Sequence[ClickModelScore]) -> list[str]:
    """The section on the corrections for position bias, beside the baseline."""
    return [
        "## Corrections for position bias",
        "",
        "How well each predicts sessions that it did not learn from. The baseline knows the position only.",
        "",
        "| | perplexity | log-likelihood per session |",
        "|---|---|---|",
        *(
            f"| {score.name}{' (used)' if score.chosen else ''} | {score.perplexity:.4f} | {score.log_likelihood:.4f} |"
            for score in scores
        ),
        "",
    ]


def _table(compared: Comparison) -> list[str]:
    base, new = compared.base, compared.new
    rows = [
        ("nDCG@10", base.ndcg_at_10, new.ndcg_at_10, compared.ndcg_gain),
        ("MRR@10", base.mrr_at_10, new.mrr_at_10, compared.mrr_gain),
        ("Recall@10", base.recall_at_10, new.recall_at_10, compared.recall_gain),
        ("Recall@100", base.recall_at_100, new.recall_at_100, compared.recall_at_100_gain),
    ]
    return [
        f"| {compared.query_count} queries | base | new | gain | 95 % interval |",
        "|---|---|---|---|---|",
        *(f"| {name} | {before:.4f} | {after:.4f} | {_gain(gain)} |" for name, before, after, gain in rows),
        "",
    ]


def _segments(segments: Sequence[Segment]) -> list[str]:
    if not segments:
        return []
    lines = [
        "### By kind of query",
        "",
        "One row in twenty differs from 0 by chance.",
        "",
        "| kind | | queries | base nDCG@10 | new nDCG@10 | gain | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for segment in segments:
        compared = segment.comparison
        before, after = compared.base.ndcg_at_10, compared.new.ndcg_at_10
        lines.append(
            f"| {segment.kind} | {segment.value} | {compared.query_count} | {before:.4f} | {after:.4f} "
            f"| {_gain(compared.ndcg_gain)} |"
        )
    return [*lines, ""]


def _judged(judged: JudgedEvaluation | None) -> list[str]:
    if judged is None:
        return []
    return [
        "## Measured on judged queries",
        "",
        f"Judgements of SHA-256 `{judged.judgements_sha256}`. {judged.unmeasured_queries} more queries have no known",
        f"relevant item, and {judged.unknown_items} judgements are on unknown items.",
        "",
        "Never searched in training:",
        "",
        *_table(judged.unsearched),
        "Searched in training, so their clicks were trained on:",
        "",
        *_table(judged.searched),
    ]


def _gain(gain: Gain) -> str:
    return f"{gain.mean:+.4f} | {gain.lower:+.4f} to {gain.upper:+.4f}"
