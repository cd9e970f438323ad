"""`hush train`: flags from the signatures of the system, its recipe and the kind of its data."""

import inspect
import os
import sys
from dataclasses import MISSING, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

from hush.app.kinds import Column, Kind, meant
from hush.errors import UserError
from hush.systems.index import TABLE, find


def train(arguments: list[str]) -> None:
    """Train the system named first on the data of --data in the run folder --out."""
    if not arguments or arguments[0].startswith("-"):
        print(_overview())
        if not arguments or arguments[0] not in ("-h", "--help"):
            raise UserError("hush train needs the name of a system first, such as ddpm.")
        return
    name, *flags = arguments
    function = find(name)
    kind = meant(name, flags)
    options, choices = parsed(name, kind, flags, _columns(), f"hush train {name}"), ()

    import torch

    from hush.systems.suited import decided
    from hush.training.loop import train as run

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.auto:
        from hush.app.automatic import automatic

        options, choices = automatic(name, options, flags)
    source = kind.opened(name, options)
    if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
        print(f"{options.data}: {source.summary()}", file=sys.stderr)
    settings = _settings(function, kind, options)
    torch.manual_seed(options.recipe.seed)  # the initial weights; this process is ours
    system = function(**decided(name, source), **settings)
    kind.must_suit(system, source, options)
    run(system, source, options.out, options.recipe, choices=choices)


def _settings(function: Any, kind: Kind, options: Any) -> dict[str, Any]:
    """What the command line says of a system's parameters; of a part that another run has learnt,
    that run's."""
    from hush.systems.taken import Taken

    settings = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if key not in kind.own:
            value = getattr(options, key)
            if isinstance(parameter.default, Taken):
                value = parameter.default if value is None else Taken.of(value)
            settings[key] = value
    return settings


def _overview() -> str:
    rows = [f"  {name:16}{row.says} ({row.paper})" for name, row in TABLE.items()]
    return "\n".join(
        [
            "usage: hush train SYSTEM --data DATA --out RUN [--auto] [OPTIONS]",
            "",
            *rows,
            "",
            "DATA is a folder of pictures, a Parquet file, WebDataset shards, a data set of the",
            "Hugging Face hub (user/name), or the built-in digits; series are a CSV or Parquet",
            "file, or the built-in co2, elnino, macrodata, stocks, sunspots. `hush train SYSTEM",
            "--help` lists the options of a system, with its paper's defaults; of one of both",
            "those of series, if --data FILE.csv goes before.",
        ]
    )


def _columns() -> list[Column]:
    """The options that `hush train` has whatever is trained."""
    import tyro

    def column(name: str, form: Any, says: str, default: Any = MISSING) -> Column:
        return name, Annotated[form, tyro.conf.arg(help=says)], field(default=default)

    auto = "Choose what is not said, for these data and this machine, as `hush inspect` tells; a "
    auto += "run that goes on keeps what it was begun with."
    return [
        column("data", str, "A folder, file, data set name, or digits."),
        column("out", Path, "Folder of the run; an existing one goes on."),
        column("auto", bool, auto, False),
        *measuring(),
    ]


def measuring() -> list[Column]:
    """The options of what choices go by."""
    import tyro

    def column(name: str, says: str) -> Column:
        about = tyro.conf.arg(metavar="FLOAT", help=says)
        return name, Annotated[float | None, about], field(default=None)

    return [
        column("hours", "Hours that a chosen network may train; by default a night of 8."),
        column("memory", "Gigabytes that a training step may count on; by default what is free."),
    ]


def parsed(name: str, kind: Kind, flags: list[str], columns: list[Column], prog: str) -> Any:
    """The command line of a system as one value: `columns`, and the options of its own, of its
    recipe and of how data are read."""
    import docstring_parser
    import tyro

    from hush.systems.taken import Taken

    function, columns = find(name), [*columns]
    says = docstring_parser.parse(function.__doc__)
    described = {param.arg_name: param.description for param in says.params}
    for key, parameter in inspect.signature(function).parameters.items():
        if key in kind.own:
            continue
        form, default, about = parameter.annotation, parameter.default, {"help": described.get(key)}
        if isinstance(default, Taken):
            form, default, about = Path | None, None, {**about, "metavar": "RUN"}
        columns.append((key, Annotated[form, tyro.conf.arg(**about)], field(default=default)))
    threads = Annotated[
        int | None, tyro.conf.arg(metavar="INT", help="Processor threads; by default all cores.")
    ]
    columns.append(("threads", threads, field(default=None)))
    columns += kind.columns()
    options = make_dataclass("Options", columns)
    return tyro.cli(
        options,
        args=flags,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        prog=prog,
        description=f"{says.short_description}\n\n{says.long_description or ''}",
    )
