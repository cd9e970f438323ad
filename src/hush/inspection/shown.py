"""A report as a person reads it, 80 columns wide."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from hush.inspection.report import Report
    from hush.recipe import Choice

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def shown(report: "Report") -> Iterator[Any]:
    """Facts, findings, choices, and the command."""
    yield _facts(report)
    yield ""
    yield _findings(report)
    yield ""
    if report.choices:
        yield choices_shown(report.choices, report.system)
        yield ""
        yield Text("Take them all, whatever you do not say yourself:", style="bold")
        yield Padding(Text(report.automatic()), (0, 0, 0, 2))
        yield Text("or line by line:", style="bold")
        yield Padding(Text(broken_up(report.command())), (0, 0, 0, 2))
    else:
        yield Text("Nothing can be chosen until this is mended:", style="bold")
        yield Padding(Text(report.refused), (0, 0, 0, 2))


def chosen_shown(report: "Report") -> Iterator[Any]:
    """Findings that are no mere notes, and the choices: what a run begins with."""
    if any(finding.severity != "note" for finding in report.findings):
        yield _findings(report)
    yield choices_shown(report.choices, report.system)


def _facts(report: "Report") -> Table:
    table = _table(report.data)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, says in report.facts:
        table.add_row(Text(name), Text(says))
    return table


def _findings(report: "Report") -> Any:
    if not report.findings:
        return Text("Nothing is wrong with them.", style="bold green")
    table = _table("What to look at")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for severity, what, where, do in report.findings:
        said = Text(what, style="bold")
        for place in where:
            said.append(f"\n{place}", style="not bold dim")
        said.append(f"\n{do}", style="not bold")
        table.add_row(Text(severity, style=COLOURS[severity]), said)
    return table


def choices_shown(choices: tuple["Choice", ...], system: str) -> Table:
    """The choices and why."""
    table = _table(f"What hush would choose, for {system}")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(max_width=24, overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for choice in choices:
        table.add_row(Text(choice.name), Text(choice.value), Text(choice.why))
    return table


def _table(title: str) -> Table:
    return Table(
        box=box.SIMPLE,
        show_header=False,
        title=Text(title, style="bold"),
        title_justify="left",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def broken_up(command: str, width: int = 76) -> str:
    """A command on several lines, as a shell takes them."""
    lines, now = [], ""
    for part in command.split(" --"):
        part = part if not (lines or now) else f"--{part}"
        if now and len(now) + len(part) + 3 > width:
            lines.append(now)
            now = f"  {part}"
        else:
            now = f"{now} {part}" if now else part
    return " \\\n".join([*lines, now])
