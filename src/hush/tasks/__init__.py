"""Tasks: what a user asks for."""

from hush.tasks.base import Example, Task
from hush.tasks.generate import Generate

__all__ = ["Example", "Generate", "Task"]
