"""What can be looked at as a page of its own, and what such a page says of where it is from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class About:
    """What was judged, and how to make it again."""

    name: str
    """Of the system."""
    cite: str = ""
    run: str = ""
    data: str = ""
    """What it learnt from and what was held out, in words."""
    drawn: str = ""
    """How samples were drawn, in words."""
    seed: int = 0
    """Of the evaluation."""
    made: str = ""
    """The command that trains such a run."""
    asked: str = ""
    """The command that makes this report."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the system and its recipe."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """(step, loss) as training reported them."""


class Page(ABC):
    """A value that is a page: one file of HTML, with all that it shows in it."""

    @abstractmethod
    def page(self) -> str:
        """It as a page in HTML."""

    def save(self, path: str | Path) -> Path:
        """Write it as a page of its own, which needs nothing beside it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.page(), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        """The page in a frame, as a notebook shows it."""
        from html import escape

        style = "width:100%;height:48em;border:0"
        return f'<iframe srcdoc="{escape(self.page())}" style="{style}"></iframe>'
