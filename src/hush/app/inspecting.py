"""`hush inspect`: what is in data, and what hush would choose for them."""

import json
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from hush.app.automatic import said
from hush.app.kinds import Column, meant
from hush.app.training import measuring, parsed
from hush.errors import UserError
from hush.systems.index import find

USAGE = """usage: hush inspect DATA [--system SYSTEM] [--hours N] [--json FILE] [OPTIONS]

What is in DATA, what is wrong with it, and what hush would choose for it and this machine: how it
is read, the normaliser, the noise, network, batch, steps, and the hours to a model that is of use.
OPTIONS are those of `hush train SYSTEM`: what you say is taken as said.

  --system NAME   whose choices; by default ddpm of pictures, csdi of series
  --hours N       hours that training may take; by default a night of 8
  --memory GB     what a training step may count on; by default what is free
  --most N        pictures that are opened; of more, an even sample (20,000)
  --threads N     processor threads; by default all cores
  --json FILE     write all of it there as well"""


def inspect(arguments: list[str]) -> None:
    """Look at the data named first."""
    if not arguments or arguments[0].startswith("-"):
        print(USAGE)
        if not arguments or arguments[0] not in ("-h", "--help"):
            raise UserError("hush inspect needs a folder, file or data set first.")
        return
    data, *flags = arguments
    name = _system(data, flags)
    kind = meant(name, ["--data", data, *flags])
    options = parsed(name, kind, flags, _columns(), f"hush inspect {data}")

    import torch
    from rich.console import Console

    from hush.inspection import inspect as look

    if options.threads:
        torch.set_num_threads(options.threads)
    memory = options.memory and options.memory * 2**30
    report = look(data, name, options.hours, memory, options.most, **said(options, flags))
    Console().print(report)
    if options.json:
        options.json.write_text(json.dumps(report.json(), indent=2, default=str) + "\n")


def _system(data: str, flags: list[str]) -> str:
    """The system that --system names, else the usual one of such data."""
    words = [word for flag in flags for word in flag.split("=", 1)]
    if "--system" in words[:-1]:
        name = words[words.index("--system") + 1]
        find(name)
        return name
    from hush.data.open import holds_series

    named = {word[2:].replace("-", "_"): True for word in words if word.startswith("--")}
    return "csdi" if holds_series(data, named) else "ddpm"


def _columns() -> list[Column]:
    """The options of inspecting alone."""
    import tyro

    from hush.data.inspected.pictures import MOST

    def column(name: str, form: Any, default: Any, says: str, metavar: str) -> Column:
        about = tyro.conf.arg(help=says, metavar=metavar)
        return name, Annotated[form, about], field(default=default)

    return [
        column("system", str | None, None, "Whose choices.", "NAME"),
        column("most", int, MOST, "Pictures that are opened; of more, an even sample.", "INT"),
        column("json", Path | None, None, "A file to write all of it to as well.", "FILE"),
        *measuring(),
    ]
