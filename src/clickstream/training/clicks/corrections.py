"""The corrections for position bias, by their names in the settings."""

from collections.abc import Callable, Mapping

from clickstream.training.clicks.cascade import SimplifiedDbn
from clickstream.training.clicks.click_log import Counts
from clickstream.training.clicks.counting import MeanGrade, RankCtr
from clickstream.training.clicks.labels import ClickModel, Tick
from clickstream.training.clicks.position_based import PositionBased

# Each learns from a log. Those that take long ask whether they may go on.
CORRECTIONS: Mapping[str, Callable[[Counts, Tick], ClickModel]] = {
    "none": lambda log, _: MeanGrade(log),
    "rank_ctr": lambda log, _: RankCtr(log),
    "pbm": PositionBased,
    "sdbn": lambda log, _: SimplifiedDbn(log),
}

# The setting by which `model_choice.choose_correction` chooses one of them.
AUTO = "auto"
