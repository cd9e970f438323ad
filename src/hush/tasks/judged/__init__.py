"""Uses of a run judged beside what needs no diffusion."""

from hush.tasks.judged.anomalies import Found, anomaly_maps, found
from hush.tasks.judged.answered import Answered, Asked, answered, parts
from hush.tasks.judged.backtest import backtest
from hush.tasks.judged.gaps import judge_gaps
from hush.tasks.judged.labels import Score, held, judge_change, judge_segment
from hush.tasks.judged.pictures import COLUMNS, Row, Yard
from hush.tasks.judged.series import Hidden, SeriesRow, Units

__all__ = [
    "COLUMNS",
    "Answered",
    "Asked",
    "Found",
    "Hidden",
    "Row",
    "Score",
    "SeriesRow",
    "Units",
    "Yard",
    "anomaly_maps",
    "answered",
    "backtest",
    "found",
    "held",
    "judge_change",
    "judge_gaps",
    "judge_segment",
    "parts",
]
