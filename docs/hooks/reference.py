"""The API reference: a page for each room, of the names it offers. What is said of them, their
shapes and their sources are the docstrings and annotations of the code."""

import importlib
from functools import cache
from inspect import getdoc, ismodule
from types import ModuleType

ROOMS = (  # in the order in which data flow
    "data",
    "codecs",
    "noise",
    "distributions",
    "schedules",
    "processes",
    "denoisers",
    "objectives",
    "likelihoods",
    "samplers",
    "guidance",
    "networks",
    "tasks",
    "evaluation",
    "interop",
    "testing",
)
ALONE = ("system", "recipe", "rng", "tensors", "estimators", "training.loop")


@cache
def pages() -> dict[str, str]:
    """The pages, and one that lists them."""
    rooms = {room: importlib.import_module(f"hush.{room}") for room in ROOMS}
    made = {f"reference/{room}.md": page(module) for room, module in rooms.items()}
    rest = "\n".join(named(f"hush.{module}", 2) for module in ALONE)
    made["reference/whole.md"] = f"# hush\n\nA system and its recipe.\n\n{rest}"
    rows = [f"| [`hush.{room}`]({room}.md) | {says(f'hush.{room}')} |" for room in ROOMS]
    rows += [f"| [`hush.{name}`](whole.md) | {says(f'hush.{name}')} |" for name in ALONE]
    made["reference/index.md"] = "# Reference\n\n| room | |\n|---|---|\n" + "\n".join(rows) + "\n"
    return made


def elsewhere() -> dict[str, str]:
    """In their place, pages that lead to them from another language."""
    return {place: _leads(place.replace(".md", ".html")) for place in pages()}


def _leads(place: str) -> str:
    name = place.split("/")[1].removesuffix(".html").replace("index", "hush")
    there = f"../../{place}"
    return (
        f'# {name}\n\n本页只有英文：<a href="{there}">{name}</a>。\n\n'
        f'<meta http-equiv="refresh" content="0; url={there}">\n'
    )


def says(module: str) -> str:
    """The first paragraph of a module's docstring."""
    return getdoc(importlib.import_module(module)).split("\n\n")[0].replace("\n", " ")


def page(room: ModuleType) -> str:
    """What a room offers."""
    offered = [(name, getattr(room, name)) for name in dict.fromkeys(room.__all__)]
    body = [
        named(thing.__name__ if ismodule(thing) else f"{room.__name__}.{name}", 2)
        for name, thing in offered
    ]
    return f"# {room.__name__}\n\n{says(room.__name__)}\n\n" + "\n".join(body)


def named(path: str, level: int) -> str:
    """The directive that shows a name."""
    return f"::: {path}\n    options:\n      heading_level: {level}\n"
