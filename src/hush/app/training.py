"""`hush train`: flags from the signatures of the system, its recipe and the picture options."""

import inspect
import os
import sys
from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hush.errors import UserError
from hush.systems.index import TABLE, find

if TYPE_CHECKING:
    from hush.data import Source

OWN = ("shape", "levels", "classes")  # parameters of a system that the data decide


def train(arguments: list[str]) -> None:
    """Train the system named first on the data of --data in the run folder --out."""
    if not arguments or arguments[0].startswith("-"):
        print(_overview())
        if not arguments or arguments[0] not in ("-h", "--help"):
            raise UserError("hush train needs the name of a system first, such as ddpm.")
        return
    name, *flags = arguments
    function = find(name)
    options = _parsed(name, function, flags)

    import torch

    from hush.app.pairing import in_pairs, must_take
    from hush.data import open_source
    from hush.training.loop import train as run

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.given is None:
        source = open_source(options.data, **given(options.pictures))
    else:
        source = in_pairs(options)
    if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
        print(f"{options.data}: {source.summary()}", file=sys.stderr)
    settings = _settings(function, options)
    torch.manual_seed(options.recipe.seed)  # the initial weights; this process is ours
    known = inspect.signature(function).parameters
    data: dict[str, Any] = {"shape": tuple(source.shape)}
    if "classes" in known:
        data["classes"] = tuple(source.classes)
    if "levels" in known:
        data["levels"] = _levels(name, function, source)
    system = function(**data, **settings)
    if options.given is not None:
        must_take(system, source)
    run(system, source, options.out, options.recipe)


def _settings(function: Any, options: Any) -> dict[str, Any]:
    """What the command line says of a system's parameters; of a part that another run has learnt,
    that run's."""
    from hush.systems.taken import Taken

    settings = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if key not in OWN:
            value = getattr(options, key)
            if isinstance(parameter.default, Taken):
                value = parameter.default if value is None else Taken.of(value)
            settings[key] = value
    return settings


def _levels(name: str, function: Any, source: "Source") -> int | None:
    """How many levels the data have; a system of tokens cannot do without."""
    optional = inspect.signature(function).parameters["levels"].annotation is not int
    if source.levels is None and not optional:
        raise UserError(
            f"{name} needs data of evenly spaced levels, and {source.name} is continuous: save it "
            "with 8 bits a channel, or use a system of continuous values, such as ddpm."
        )
    return source.levels


def _overview() -> str:
    rows = [f"  {name:16}{row.says} ({row.paper})" for name, row in TABLE.items()]
    return "\n".join(
        [
            "usage: hush train SYSTEM --data DATA --out RUN [OPTIONS]",
            "",
            *rows,
            "",
            "DATA is a folder of pictures, a Parquet file, WebDataset shards, a data set of the",
            "Hugging Face hub (user/name), or the built-in digits. `hush train SYSTEM --help`",
            "lists the options of a system, with its paper's defaults.",
        ]
    )


def given(options: Any) -> dict[str, Any]:
    """The fields that were set, as keywords: a source refuses only what was asked of it."""
    blank = type(options)()
    return {key: value for key, value in asdict(options).items() if value != getattr(blank, key)}


def _parsed(name: str, function: Any, flags: list[str]) -> Any:
    """The command line of a system as one value."""
    import docstring_parser
    import tyro

    from hush.data import PictureOptions
    from hush.systems.taken import Taken

    says = docstring_parser.parse(function.__doc__)
    described = {param.arg_name: param.description for param in says.params}
    columns: list[Any] = [
        ("data", Annotated[str, tyro.conf.arg(help="A folder, file, data set name, or digits.")]),
        ("out", Annotated[Path, tyro.conf.arg(help="Folder of the run; an existing one goes on.")]),
    ]
    for key, parameter in inspect.signature(function).parameters.items():
        if key in OWN:
            continue
        kind, default, about = parameter.annotation, parameter.default, {"help": described.get(key)}
        if isinstance(default, Taken):
            kind, default, about = Path | None, None, {**about, "metavar": "RUN"}
        columns.append((key, Annotated[kind, tyro.conf.arg(**about)], field(default=default)))
    threads = Annotated[
        int | None, tyro.conf.arg(metavar="INT", help="Processor threads; by default all cores.")
    ]
    pairs = "Of a system that makes a picture from another, what it is made from: a folder of the "
    pairs += "same names. By default the system spoils --data itself."
    about = tyro.conf.arg(metavar="FOLDER", help=pairs)
    columns.append(("given", Annotated[Path | None, about], field(default=None)))
    columns.append(("threads", threads, field(default=None)))
    columns.append(("pictures", PictureOptions, field(default=PictureOptions())))
    options = make_dataclass("Options", columns)
    return tyro.cli(
        options,
        args=flags,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        prog=f"hush train {name}",
        description=f"{says.short_description}\n\n{says.long_description or ''}",
    )
