"""Figures as messages of the contract."""

from embedding_studio.clickstream.v1 import analytics_service_pb2 as pb
from embedding_studio.clickstream.v1 import figures_pb2

from clickstream.contract.encoding import timestamp
from clickstream.domain.analytics import CLICK_RANGES
from clickstream.domain.figures import Comparison, Coverage, Figures, FiguresRow, TopRow
from clickstream.domain.intervals import wilson


def figures_message(figures: Figures) -> figures_pb2.Figures:
    """The message of figures."""
    message = figures_pb2.Figures(
        searches=figures.searches,
        clickable_searches=figures.clickable_searches,
        irrelevant_searches=figures.irrelevant_searches,
        typing_searches=figures.typing_searches,
        robot_searches=figures.robot_searches,
        users=figures.users,
        showings=figures.showings,
        events=(
            figures_pb2.EventFigures(type=each.type, count=each.count, unshown_count=each.unshown_count)
            for each in figures.events
        ),
        unshown_events=sum(each.unshown_count for each in figures.events),
        median_first_click_seconds=figures.median_first_click_seconds,
        p90_first_click_seconds=figures.p90_first_click_seconds,
    )
    rates = figures.rates()
    for name, counts in rates.items():
        if name in message.DESCRIPTOR.fields_by_name:
            getattr(message, name).CopyFrom(rate_message(*counts))
    for event in message.events:
        if (of_type := rates.get(f"event_rate.{event.type}")) is not None:
            event.search_rate.CopyFrom(rate_message(*of_type))
    if clicks := sum(figures.click_places):
        message.mean_click_place = figures.click_place_sum / clicks
        for (first, last), count in zip(CLICK_RANGES, figures.click_places, strict=True):
            message.click_places.add(first_place=first, last_place=last, clicks=count)
    return message


def rate_message(numerator: int, denominator: int) -> figures_pb2.Rate:
    """A rate with its counts and, where it is a share, its interval."""
    message = figures_pb2.Rate(numerator=numerator, denominator=denominator, value=numerator / denominator)
    if numerator <= denominator:
        message.lower, message.upper = wilson(numerator, denominator)
    return message


def row_message(row: FiguresRow) -> pb.FiguresRow:
    """The message of a row."""
    return pb.FiguresRow(
        start=timestamp(row.start), end=timestamp(row.end), value=row.value, figures=figures_message(row.figures)
    )


def top_row_message(row: TopRow) -> pb.TopRow:
    """The message of a row of a list."""
    return pb.TopRow(value=row.value, figures=figures_message(row.figures), searches_before=row.searches_before)


def comparison_message(found: Comparison) -> pb.CompareFiguresResponse:
    """The message of a comparison."""
    differences = [
        pb.RateDifference(
            name=each.name,
            difference=each.difference,
            lower=each.interval[0] if each.interval else None,
            upper=each.interval[1] if each.interval else None,
        )
        for each in found.differences
    ]
    return pb.CompareFiguresResponse(
        first=figures_message(found.first),
        second=figures_message(found.second),
        differences=differences,
        warnings=found.warnings,
        first_outlier_searches=found.outlier_searches[0],
        second_outlier_searches=found.outlier_searches[1],
        first_coverage=coverage_message(found.coverages[0]),
        second_coverage=coverage_message(found.coverages[1]),
    )


def coverage_message(coverage: Coverage) -> figures_pb2.Coverage:
    """The message of what an answer covers."""
    window = None
    if coverage.start is not None and coverage.end is not None:
        window = figures_pb2.Window(
            start=timestamp(coverage.start), end=timestamp(coverage.end), time_zone=coverage.time_zone
        )
    return figures_pb2.Coverage(
        window=window,
        exact_until=timestamp(coverage.exact_until),
        from_sessions=coverage.from_sessions,
        importance_policy_version=coverage.importance_policy_version,
        robot_verdict_number=coverage.robot_verdict_number,
    )
