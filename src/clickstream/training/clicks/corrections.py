"""The corrections for position bias, by their names in the settings."""

from collections.abc import Callable, Mapping

from clickstream.training.clicks.cascade import SimplifiedDbn
from clickstream.training.clicks.click_log import ClickLog
from clickstream.training.clicks.counting import MeanGrade, RankCtr
from clickstream.training.clicks.labels import ClickModel
from clickstream.training.clicks.position_based import PositionBased

CORRECTIONS: Mapping[str, Callable[[ClickLog], ClickModel]] = {
    "none": MeanGrade,
    "rank_ctr": RankCtr,
    "pbm": PositionBased,
    "sdbn": SimplifiedDbn,
}

# The setting by which `model_choice.choose_correction` chooses one of them.
AUTO = "auto"
