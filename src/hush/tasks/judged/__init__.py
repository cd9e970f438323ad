"""Uses of a run judged beside what needs no diffusion."""

from hush.tasks.judged.anomalies import Found, anomaly_maps, found
from hush.tasks.judged.answered import Answered, Asked, answered, parts
from hush.tasks.judged.labels import Score, held, judge_change, judge_segment
from hush.tasks.judged.pictures import COLUMNS, Row, Yard

__all__ = [
    "COLUMNS",
    "Answered",
    "Asked",
    "Found",
    "Row",
    "Score",
    "Yard",
    "anomaly_maps",
    "answered",
    "found",
    "held",
    "judge_change",
    "judge_segment",
    "parts",
]
