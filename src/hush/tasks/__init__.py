"""Tasks: what a user asks for."""

from hush.tasks.base import Example, Task
from hush.tasks.change import ChangeDetector, fit_change
from hush.tasks.detect import Detect
from hush.tasks.features import Look, describe
from hush.tasks.fine_tune import FineTuned, fine_tune
from hush.tasks.generate import Generate
from hush.tasks.restore import Question, answers, question, spread
from hush.tasks.segment import Segmenter, fit_segmenter

__all__ = [
    "ChangeDetector",
    "Detect",
    "Example",
    "FineTuned",
    "Generate",
    "Look",
    "Question",
    "Segmenter",
    "Task",
    "answers",
    "describe",
    "fine_tune",
    "fit_change",
    "fit_segmenter",
    "question",
    "spread",
]
