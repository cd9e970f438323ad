"""Tasks: what a user asks for."""

from hush.tasks.base import Example, Task
from hush.tasks.detect import Detect
from hush.tasks.generate import Generate

__all__ = ["Detect", "Example", "Generate", "Task"]
