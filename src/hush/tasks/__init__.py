"""Tasks: what a user asks for."""

from hush.tasks.generate import Generate

__all__ = ["Generate"]
