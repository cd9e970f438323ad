"""What a user says wins over what was chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from hush.recipe import Choice

YOURS = "as you say"


def as_said(choices: Sequence[Choice], said: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The choices with the user's settings in place of theirs; what no choice sets comes last, as
    one of its own. Saying it again changes nothing."""
    found = [_as_said(choice, said) for choice in choices if choice.name != "yours"]
    chosen = {key for choice in found for key in choice.settings}
    before = {key: v for c in choices if c.name == "yours" for key, v in c.settings.items()}
    plain = {key: fspath(v) if isinstance(v, PathLike) else v for key, v in said.items()}
    rest = {key: value for key, value in {**before, **plain}.items() if key not in chosen}
    if rest:
        value = " ".join(f"--{key.replace('_', '-')}" for key in rest)
        found.append(Choice("yours", value, YOURS, rest))
    return tuple(found)


def _as_said(choice: Choice, said: Mapping[str, Any]) -> Choice:
    own = {key: said[key] for key in choice.settings if key in said}
    changed = {key: value for key, value in own.items() if choice.settings[key] != value}
    if not own or (not changed and YOURS in choice.why):
        return choice
    told = " ".join(f"--{key.replace('_', '-')}" for key in own)
    why = choice.why if YOURS in choice.why else f"{told} {YOURS}; {choice.why}"
    return replace(choice, why=why, settings={**choice.settings, **own})
