"""`hush teach`: small networks that say of pictures what they show, for `hush inpaint` to heed."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hush.data.options import PictureOptions
from hush.errors import UserError

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
STEPS = {"encoder": 2000, "classifier": 600}


@dataclass(frozen=True)
class Options:
    """Teach a dual encoder pictures and their captions, or a classifier pictures and their classes,
    and say how often it is right about a tenth of them that it has not seen."""

    what: Annotated[
        Literal["encoder", "classifier"], tyro.conf.Positional, tyro.conf.arg(metavar="WHAT")
    ]
    """encoder, for `hush inpaint --text`, or classifier, for `hush inpaint --class`."""
    data: str
    """Of an encoder a folder of pictures with a captions.csv (picture, caption), or in subfolders
    whose names are their captions; of a classifier whatever has classes, as `hush train` reads."""
    out: Path
    """Folder that it is written to."""
    steps: Whole = None
    """Batches; by default 2000 of an encoder, 600 of a classifier."""
    seed: int = 0
    """The same seed gives the same network."""
    threads: Whole = None
    """Processor threads; by default all cores."""
    pictures: PictureOptions = PictureOptions()  # noqa: RUF009


def teach(arguments: list[str]) -> None:
    """Teach an encoder or a classifier."""
    import torch

    options = tyro.cli(
        Options,
        args=arguments,
        prog="hush teach",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    if options.threads:
        torch.set_num_threads(options.threads)
    steps = STEPS[options.what] if options.steps is None else options.steps
    if steps < 1:
        raise UserError(f"--steps must be 1 or more, got {steps}.")
    made = _encoder if options.what == "encoder" else _classifier
    said = made(options, steps)
    print(f"{said} {options.out} has it.")


def _encoder(options: Options, steps: int) -> str:
    import torch

    from hush.data import split
    from hush.data.captions import captioned
    from hush.evaluation.contrastive import fit_dual
    from hush.tasks.taught import keep

    source = captioned(options.data, options.pictures)
    print(f"{source.name}: {source.summary()}", file=sys.stderr)
    train, unseen = split(source, 0.1)
    encoder = fit_dual(train, [source.captions[i] for i in train.indices], options.seed, steps)
    keep(encoder, options.out)
    distinct = sorted(set(source.captions))
    record = unseen.read(range(len(unseen)))
    device = next(encoder.parameters()).device
    with torch.no_grad():
        seen = encoder.pictures(record["image"].to(device))
        found = encoder.similarity(seen, encoder.captions(distinct)).argmax(1).tolist()
    truth = [source.captions[i] for i in unseen.indices]
    right = sum(distinct[i] == own for i, own in zip(found, truth, strict=True)) / len(truth)
    return (
        f"Of {len(truth):,} pictures it has not seen {100 * right:.1f} % find their caption among "
        f"all {len(distinct):,}, where chance is {100 / len(distinct):.1f} %."
    )


def _classifier(options: Options, steps: int) -> str:
    from hush.app.kinds import given
    from hush.data import open_source, split
    from hush.evaluation.classifier import accuracy, fit_classifier
    from hush.tasks.taught import keep
    from hush.world import World

    source = open_source(options.data, **given(options.pictures))
    classes = tuple(source.classes)
    if len(classes) < 2:
        raise UserError(
            f"{source.name} has no classes: put the pictures of each into a subfolder of its name."
        )
    print(f"{source.name}: {source.summary()}", file=sys.stderr)
    train, unseen = split(source, 0.1)
    record, device = train.read(range(len(train))), World().device
    images, labels = (record[part].to(device) for part in ("image", "label"))
    classifier = fit_classifier(images, labels, len(classes), options.seed, steps)
    keep(classifier, options.out, classes)
    record = unseen.read(range(len(unseen)))
    right = accuracy(classifier, record["image"].to(device), record["label"])
    return (
        f"Of {len(unseen):,} pictures it has not seen it names the class of {100 * right:.1f} % "
        f"among {len(classes):,}."
    )
