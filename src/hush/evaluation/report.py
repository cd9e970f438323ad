"""All that is measured of a run that draws, as one value for the terminal, a page and Python."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from hush.evaluation import verdicts
from hush.evaluation.beliefs import Believed
from hush.evaluation.bits import Bits
from hush.evaluation.held_out import Losses
from hush.evaluation.judgement import Judgement, Line, percent
from hush.evaluation.memorisation import Memorisation
from hush.evaluation.page import About, Page
from hush.evaluation.verdicts import Verdict
from hush.evaluation.yardstick import Yardsticks

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Pictures:
    """What is to be looked at, each (channel, height, width) in [0, 1]."""

    samples: Float[Tensor, "channel height width"]
    real: Float[Tensor, "channel height width"]
    """Held-out records, of the same classes in the same places."""
    pairs: Float[Tensor, "channel height2 width2"] | None = None
    """The samples nearest to a training record, that record below each."""


@dataclass(frozen=True)
class Report(Page):
    """What was measured of a run; None for what could not be, and `missing` says why."""

    about: About
    bits: Bits | None = None
    losses: Losses | None = None
    yardsticks: Yardsticks | None = None
    judgement: Judgement | None = None
    memorisation: Memorisation | None = None
    beliefs: tuple[Believed, ...] = ()
    pictures: Pictures | None = None
    missing: tuple[str, ...] = ()

    @property
    def verdicts(self) -> list[Verdict]:
        """What it all means, question by question."""
        found = [
            verdicts.learning(self.losses, self.yardsticks) if self.losses else None,
            verdicts.likeness(self.judgement) if self.judgement else None,
            verdicts.variety(self.judgement) if self.judgement else None,
            verdicts.copying(self.memorisation) if self.memorisation else None,
            verdicts.generalising(self.bits) if self.bits else None,
            verdicts.calibration(self.beliefs),
        ]
        return [one for one in found if one is not None]

    def lines(self) -> list[Line]:
        """(what, value, how to read it), the rows of a table."""
        judged = self.judgement or self.memorisation
        return [
            *(self.bits.lines() if self.bits else []),
            *(judged.lines() if judged else []),
            *(_belief(one, one is self.beliefs[0]) for one in self.beliefs),
        ]

    def page(self) -> str:
        """The report as a page in HTML."""
        from hush.evaluation.html import page

        return page(self)


def print_report(report: Report | Judgement | Bits, console: "Console | None" = None) -> None:
    """The verdicts, if there are any, and the numbers as a table, on `console` or the standard
    output."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    for verdict in getattr(report, "verdicts", ()):
        console.print(f"[bold]{verdict.question}[/] {verdict.says}", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("how to read it")
    for line in report.lines():
        table.add_row(*line)
    console.print(table)


def _belief(one: Believed, first: bool) -> Line:
    parts = ["slope of the truth against what is believed; 1 is ideal"] if first else []
    if one.spread is not None:
        parts.append(
            f"squared error over variance {_told(one.spread)}, {percent(one.covered[0])} "
            "within the 90 % told"
        )
    return f"belief at t {one.time:.2g}", _told(one.slope), "; ".join(parts)


def _told(estimate: tuple[float, float]) -> str:
    return "{:.3f} ± {:.3f}".format(*estimate)
