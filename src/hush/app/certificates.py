"""How certificates are printed: tables of figures, then what they mean."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from hush.testing import Certificate, Finding, Row

LEGEND = """\
calls: how often the belief was asked. order: measured where all steps shrink as they grow in \
number / claimed; own: on the grid of the table. shrinks: by what Gaussian data of variance ¼ \
shrink. mean, spread: of a Gaussian Markov chain at the end, in standard \
deviations and as the worst of them; seen: the worst spread on the way. left: noise in the data at \
the end. {}: sliced Wasserstein distance to mixtures, where 1 is that of two exact draws."""


class Notes:
    """Sentences, numbered as they come; the same sentence keeps its number."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, bool], int] = {}

    def mark(self, findings: tuple[Finding, ...]) -> str:
        """What stands in the table: ok or not, and the numbers of the sentences."""
        keys = [(finding.sentence, finding.grave) for finding in findings]
        found = [self.numbers.setdefault(key, len(self.numbers) + 1) for key in keys]
        word = "[red]wrong[/]" if any(f.grave for f in findings) else "[green]ok[/]"
        return " ".join([word, *map(str, found)])


def show(certificates: list[Certificate], said: list[dict[str, Any]], refused: list[str]) -> None:
    """Print everything to standard output."""
    console, notes = Console(highlight=False), Notes()
    sizes = [row.distances for one in certificates for row in one.rows]
    sizes = sorted(sizes[0]) if sizes else []
    for where, group in groupby(certificates, key=lambda one: one.where):
        console.print(_table(*_titled(where, list(group)), sizes, notes))
    if said:
        console.print(_parameterisations(said, notes))
    if certificates:
        console.print(LEGEND.format(", ".join(f"{size}-d" for size in sizes)), style="dim")
    for grave, title in ((True, "What is wrong"), (False, "Worth knowing")):
        lines = [f"{n:3}  {words}" for (words, bad), n in notes.numbers.items() if bad == grave]
        if lines:
            console.print(f"\n[bold]{title}[/]")
            console.print(_hanging(lines))
    if refused:
        console.print("\n[bold]Refused, in words[/]")
        console.print(_hanging([f"     {line}" for line in refused]))
    if not any(grave for _, grave in notes.numbers):
        console.print("\nNothing is wrong.")


def _titled(where: str, group: list[Certificate]) -> tuple[str, list[Certificate]]:
    """The title of a table, with what the exact flow does in it."""
    flows = [row.contracts[2] for one in group for row in one.rows if row.contracts]
    return where + (f" (the flow shrinks to {flows[0]:.3f})" if flows else ""), group


def _hanging(lines: list[str]) -> Table:
    """Numbered lines whose further lines are indented."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    for line in lines:
        table.add_row(line[:3].strip(), line[5:])
    return table


def _table(where: str, group: list[Certificate], sizes: list[int], notes: Notes) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=where, title_justify="left", expand=False
    )
    table.add_column("sampler", style="bold", min_width=14, max_width=22, overflow="fold")
    columns = ("steps", "calls", "order", "own", "shrinks", "mean", "spread", "seen", "left")
    for column in (*columns, *(f"{size}-d" for size in sizes)):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=9, max_width=12)
    for one in group:
        head = (one.name, notes.mark(one.findings))
        rows = list(_figures(one, sizes)) or [("",) * (len(columns) + len(sizes))]
        for place, row in enumerate(rows):
            first, last = head if place == 0 else ("", "")
            table.add_row(first, *row, last)
    return table


def _figures(one: Certificate, sizes: list[int]) -> Iterator[tuple[str, ...]]:
    order = "drawn" if one.own is None else f"{_order(one.refined or one.own)}/{one.claimed}"
    own = "" if one.own is None else _order(one.own)
    for place, row in enumerate(one.rows):
        yield (
            str(row.steps),
            str(row.law.calls),
            *((order, own) if place == 0 else ("", "")),
            _shrinks(row),
            f"{row.law.mean:.2f}",
            f"{row.law.spread:+.0%}",
            f"{row.law.seen:+.0%}",
            "0" if row.left < 1e-6 else f"{row.left:.0e}",
            *(f"{row.distances[size]:.2f}" for size in sizes),
        )


def _order(order: float) -> str:
    if order == float("inf"):
        return "exact"
    return f"{order:.1f}" if order > 0.05 else "none"


def _shrinks(row: Row) -> str:
    if row.contracts is None:
        return ""
    return f"{row.contracts[0]:.3f}"


def _parameterisations(said: list[dict[str, Any]], notes: Notes) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="what a network says", title_justify="left"
    )
    for column in ("parameterisation", "schedule"):
        table.add_column(column, style="bold" if column == "parameterisation" else "")
    for column in ("float32 loses", "1 % of error becomes", "verdict"):
        table.add_column(column, justify="left" if column == "verdict" else "right")
    for one in said:
        trip, findings = one["trip"], tuple(Finding(**finding) for finding in one["findings"])
        figures = (f"{trip['error']:.0e}", f"{trip['amplified']:.2g}") if trip else ("", "")
        table.add_row(one["name"], one["schedule"], *figures, notes.mark(findings))
    return table
