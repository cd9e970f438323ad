"""Tasks: what a user asks for."""

from hush.tasks.ahead import Ahead
from hush.tasks.base import Example, Task
from hush.tasks.cascaded import cascaded
from hush.tasks.change import ChangeDetector, fit_change
from hush.tasks.detect import Detect
from hush.tasks.edit import Belonging, Judge, Likeness, ranked, towards
from hush.tasks.features import Look, describe
from hush.tasks.fine_tune import FineTuned, fine_tune
from hush.tasks.forecast import Forecast, forecast
from hush.tasks.generate import Generate
from hush.tasks.impute import impute
from hush.tasks.restore import Question, answers, question, spread
from hush.tasks.segment import Segmenter, fit_segmenter
from hush.tasks.series import Impute

__all__ = [
    "Ahead",
    "Belonging",
    "ChangeDetector",
    "Detect",
    "Example",
    "FineTuned",
    "Forecast",
    "Generate",
    "Impute",
    "Judge",
    "Likeness",
    "Look",
    "Question",
    "Segmenter",
    "Task",
    "answers",
    "cascaded",
    "describe",
    "fine_tune",
    "fit_change",
    "fit_segmenter",
    "forecast",
    "impute",
    "question",
    "ranked",
    "spread",
    "towards",
]
