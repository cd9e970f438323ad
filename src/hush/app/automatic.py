"""`hush train --auto`: what the user does not say is chosen for the data and this machine, once."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hush.errors import UserError

if TYPE_CHECKING:
    from hush.recipe import Choice

OWN = ("data", "out", "auto", "hours", "memory", "threads", "system", "most", "json")


def said(options: Any, flags: Sequence[str]) -> dict[str, Any]:
    """The settings that stand on a command line, by name."""
    words = {flag[2:].split("=", 1)[0].replace("-", "_") for flag in flags if flag[:2] == "--"}
    words |= {word.removeprefix("no_") for word in words}
    found = {}
    for part in fields(options):
        value = getattr(options, part.name)
        inner = {f.name: getattr(value, f.name) for f in fields(value)} if nested(value) else {}
        found |= inner or {part.name: value}
    return {key: value for key, value in found.items() if key in words and key not in OWN}


def nested(value: Any) -> bool:
    """Whether it is a value of several options."""
    return is_dataclass(value) and not isinstance(value, type)


def placed(options: Any, settings: Mapping[str, Any]) -> Any:
    """The options with some of them set, by name."""
    found = {}
    for part in fields(options):
        value = getattr(options, part.name)
        if nested(value):
            inner = {f.name: settings[f.name] for f in fields(value) if f.name in settings}
            found[part.name] = replace(value, **inner)
        elif part.name in settings:
            found[part.name] = settings[part.name]
    return replace(options, **found)


def automatic(name: str, options: Any, flags: Sequence[str]) -> tuple[Any, tuple["Choice", ...]]:
    """(the options, with what was chosen for those that were not said; the choices).

    Of a run that is there they are those it was begun with: nothing is measured again. Raises
    `UserError` for a run that was begun without.
    """
    from hush.inspection.said import as_said

    own = said(options, flags)
    stored = _stored(options.out)
    choices = as_said(stored or _found(name, options, own), own)
    settings = {key: value for choice in choices for key, value in choice.settings.items()}
    return placed(options, {**settings, **own}), choices


def _stored(out: Path) -> tuple["Choice", ...]:
    """The choices that a run was begun with; none where there is no run yet."""
    from hush.recipe import Choice
    from hush.training.run import Run

    run = Run(out)
    if not (run.path / "system.json").exists():
        return ()
    if not run.record.get("choices"):
        raise UserError(
            f"{out} was begun without --auto: leave it out and say what you said then, to go on, "
            "or choose another --out."
        )

    def value(given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    return tuple(
        Choice(**{**each, "settings": {k: value(v) for k, v in each["settings"].items()}})
        for each in run.record["choices"]
    )


def _found(name: str, options: Any, own: Mapping[str, Any]) -> tuple["Choice", ...]:
    """The choices of this moment, the same for all processes of a run; the main one tells them."""
    from rich.console import Console

    from hush.inspection import inspect
    from hush.inspection.shown import chosen_shown
    from hush.world import joined

    def choose() -> tuple["Choice", ...]:
        memory = options.memory and options.memory * 2**30
        report = inspect(options.data, name, options.hours, memory, **own)
        if not report.choices:
            raise UserError(report.refused)
        console = Console(file=sys.stderr)
        for part in chosen_shown(report):
            console.print(part)
        return report.choices

    with joined() as world:
        return world.first(choose)
