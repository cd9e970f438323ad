"""`hush detect`: what of pictures a model of sound ones would have made otherwise; of series see
`stretches`."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]


@dataclass(frozen=True)
class Options:
    """What does not belong in pictures or, of a run of series, in a file of them (`hush detect RUN
    --help` says how). Of every picture NAME-map.png, white where the model would have made
    something else most; NAME-beside.png, the picture, what it would have made and the map; and
    scores.csv."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`, of sound pictures."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT")]
    """Pictures, or folders of them; brought to the size of those the run was trained on."""
    out: Path
    """Folder of the answers; made if it is not there."""
    depth: float = 0.25
    """The time that pictures are noised to, above 0 and at most 1: the deeper, the larger the
    anomalies that are found."""
    steps: int = 50
    """Steps of the walk back."""
    repeats: int = 4
    """How often each picture is walked; more make the map less noisy."""
    seed: Whole = None
    """The same seed gives the same answers; by default a new one, which is printed."""
    threads: Whole = None
    """Processor threads; by default all cores."""


def detect(arguments: list[str]) -> None:
    """Find what does not belong."""
    import torch

    from hush.app.inputs import begun, of_series, opened

    if of_series(arguments):
        from hush.app.stretches import detect as stretches

        return stretches(arguments)
    from hush.data import save, strip
    from hush.tasks.detect import Detect

    options = tyro.cli(Options, args=arguments, prog="hush detect")
    detector = Detect(options.depth, options.steps, options.repeats)
    system = begun(options.run, options.threads)
    seed = random.getrandbits(31) if options.seed is None else options.seed
    scores = {}
    shape = system.task.shape
    pictures = opened(options.inputs, shape[0], tuple(shape[1:]))
    with torch.no_grad():
        for number, (name, given) in enumerate(pictures):
            found = detector(system, given, seed, start=number)
            scores[name] = float(found.score())
            bright = (found.map / found.map.max().clamp(min=1e-12)).cpu()
            save(bright[0], options.out / f"{name}-map.png")
            parts = (given, found.reconstruction.clamp(0.0, 1.0).cpu(), bright.expand_as(given))
            save(strip(parts), options.out / f"{name}-beside.png")
    with (options.out / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("picture", "score"), *scores.items()])
    worst = max(scores, key=scores.__getitem__)
    print(
        f"{len(scores)} examined with seed {seed}, the least like what was learnt: {worst} (score "
        f"{scores[worst]:.3g}); all in {options.out / 'scores.csv'}"
    )
