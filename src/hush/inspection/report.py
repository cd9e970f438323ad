"""What was found of data and chosen for them, as a value."""

import shlex
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from typing import Any

from hush.data import Source
from hush.data.inspected import Fact, Finding
from hush.errors import UserError
from hush.inspection.built import built
from hush.recipe import Choice
from hush.system import System


@dataclass(frozen=True, repr=False)
class Report:
    """What data are, what is wrong with them, and what hush would choose for them.

    data        what was inspected
    system      which system the choices are for
    facts       (name, says)
    findings    (severity, what, where, do), errors first
    choices     (name, value, why, settings); none where the data cannot be learnt from yet
    refused     why there are none
    said        settings that the user gave
    source      the data as they are read
    """

    data: str
    system: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    choices: tuple[Choice, ...] = ()
    refused: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """All that was chosen and said, by name."""
        found = {key: value for choice in self.choices for key, value in choice.settings.items()}
        return {**self.said, **found}

    def build(self) -> System:
        """The system as it was chosen, its recipe too: `hush.train(report.build(), report.source,
        "runs/a", choices=report.choices)`. Raises `UserError` where the data must be mended."""
        if self.source is None:
            raise UserError(self.refused)
        return built(self.system, self.source, self.settings)

    def command(self, out: str = "") -> str:
        """The line of `hush train` that takes the choices."""
        return self._line(self.settings, out)

    def automatic(self, out: str = "") -> str:
        """The line that measures again and takes what is chosen then, but for what was said."""
        return f"{self._line(self.said, out)} --auto"

    def _line(self, settings: dict[str, Any], out: str) -> str:
        name = self.data.rstrip("/").rsplit("/", 1)[-1].split(".")[0]
        words = ["hush", "train", self.system, "--data", self.data, "--out", out or f"runs/{name}"]
        return shlex.join([*words, *(word for item in settings.items() for word in flag(*item))])

    def json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "data": self.data,
            "system": self.system,
            "facts": [fact._asdict() for fact in self.facts],
            "findings": [finding._asdict() for finding in self.findings],
            "choices": [vars(choice) for choice in self.choices],
            "refused": self.refused,
            "command": self.command() if self.choices else "",
        }

    def __repr__(self) -> str:
        from rich.console import Console

        console = Console(width=80, record=True, file=StringIO(), color_system=None)
        console.print(self)
        return console.export_text().rstrip()

    def __rich_console__(self, *_: Any) -> Any:
        from hush.inspection.shown import shown

        yield from shown(self)

    def _repr_html_(self) -> str:
        def table(title: str, rows: list[tuple[str, ...]]) -> str:
            cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
            return f"<h4>{title}</h4><table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

        found = [(f.severity, f.what, ", ".join(f.where), f.do) for f in self.findings]
        parts = [table(escape(self.data), list(self.facts))]
        parts.append(table("found", found) if found else "<p>Nothing is wrong with them.</p>")
        if self.choices:
            chosen = [(c.name, c.value, c.why) for c in self.choices]
            parts.append(table(f"hush would choose, for {self.system}", chosen))
            parts.append(f"<pre>{escape(self.command())}</pre>")
        else:
            parts.append(f"<p>{escape(self.refused)}</p>")
        return "".join(parts)


def flag(key: str, value: Any) -> list[str]:
    """A setting as words of a command line."""
    name = f"--{key.replace('_', '-')}"
    if isinstance(value, bool):
        return [name if value else f"--no-{name[2:]}"]
    if isinstance(value, list | tuple):
        return [name, *map(str, value)]
    return [name, f"{value:g}" if isinstance(value, float) else str(value)]
