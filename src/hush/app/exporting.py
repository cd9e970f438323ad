"""`hush export`: a trained model as the folder of another library."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Word = Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")]


@dataclass(frozen=True)
class Options:
    """Write a trained model as a pipeline of diffusers, which loads it without hush."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train … --plain`."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where to: a new folder."""
    to: Literal["diffusers"] = "diffusers"
    """Whose format."""
    scheduler: Literal["ddpm", "ddim"] = "ddpm"
    """Which pipeline and walk: DDPMPipeline, or DDIMPipeline of few steps without noise."""
    one: Word = None
    """The class it draws, by name or number, of a model with classes: these pipelines know none."""
    last: bool = False
    """The last weights instead of their average."""


def export(arguments: list[str]) -> None:
    """Write a run as a folder of another library."""
    from hush.interop.diffusers import export_pipeline
    from hush.interop.diffusers.pipelines import PIPELINES
    from hush.systems.index import load

    options = tyro.cli(
        Options, args=arguments, prog="hush export", config=(tyro.conf.FlagCreatePairsOff,)
    )
    system = load(options.run, average=not options.last)
    export_pipeline(system, options.out, options.scheduler, options.one)
    kind, _ = PIPELINES[options.scheduler]
    clipped = options.scheduler == "ddim" and system.threshold
    call = "use_clipped_model_output=True" if clipped else ""
    print(f"{options.out}: diffusers.{kind}.from_pretrained({str(options.out)!r})({call})")
