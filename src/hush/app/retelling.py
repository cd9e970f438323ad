"""`hush retell`: a trained run once more, with the best variances for its reverse steps."""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hush.app.inputs import must_be_of_pictures
from hush.app.kinds import given
from hush.data import PictureOptions
from hush.errors import UserError

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]


@dataclass(frozen=True)
class Options:
    """Measure how sure a run can be at every noise level, and write it as a run of analytic_dpm:
    the same weights, better steps. Nothing is trained."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of a chain that predicts a mean."""
    data: str
    """A folder, file, data set name, or digits: what the run was trained on."""
    out: Path
    """Folder of the new run."""
    by: Literal["error", "score"] = "error"
    """error: the square of what the model misses; score: the paper's, without the data's own."""
    levels: int = 100
    """Noise levels that are measured, evenly over the chain; between them are straight lines."""
    count: int = 1024
    """Pictures they are measured on, at most."""
    steps: int = 50
    """Steps of the walk, which samples may change."""
    seed: int = 0
    """Of the noise."""
    threads: Whole = None
    """Processor threads; by default all cores."""
    pictures: PictureOptions = field(default_factory=PictureOptions)


def retell(arguments: list[str]) -> None:
    """Write the run of analytic_dpm that a run's own data make of it."""
    import torch

    from hush.data import open_source, split
    from hush.systems.analytic_dpm import retold
    from hush.systems.index import load
    from hush.training.run import Run, jsonable
    from hush.training.saver import Saver
    from hush.training.stored import stored
    from hush.world import World

    options = tyro.cli(Options, args=arguments, prog="hush retell", config=CONFIG)
    if options.threads:
        torch.set_num_threads(options.threads)
    must_be_of_pictures(options.run)
    record = Run(options.run).record
    recipe = record.get("recipe", {})
    source = open_source(options.data, **given(options.pictures))
    if recipe.get("held_out"):
        source, _ = split(source, recipe["held_out"], seed=recipe["seed"])
    made = retold(
        load(options.run),
        source,
        by=options.by,
        levels=options.levels,
        count=options.count,
        steps=options.steps,
        seed=options.seed,
    )
    run = Run(options.out)
    if (run.path / "system.json").exists():
        raise UserError(f"{run.path} already holds a run: choose a new --out.")
    tensors = stored(made.denoiser, made.codec)
    with run.held(), closing(Saver(run, World())) as saver:
        run.claim(jsonable({**record, "name": made.name, "arguments": made.arguments}))
        saver.save(0, {"model": tensors, "ema": tensors}, {})
        saver.finish()
    print(f"{options.out}: {options.run} told again with measured variances; sample from it.")
