"""A question put to a run: from an upload and settings to a command's options, and its answer."""

import shutil
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hush.app import restoring
from hush.app.web import drawing, guard, wishes
from hush.app.web.children import Child
from hush.app.web.desk import Desk, Place
from hush.app.web.verbs import Verb
from hush.data import images, save
from hush.errors import UserError
from hush.system import System

SIDE = 384  # pixels that a small picture is enlarged to, to be drawn on
HIDDEN = 0.25  # share of a pixel that must be painted over for it to be made anew
LOOK = 0.3  # seconds between two looks at a child
WHOLE = ("count", "steps", "factor", "horizon", "top", "right", "bottom", "left", "samples")
WHOLE += ("repeats",)


def taken(verb: Verb, file: str | None) -> Path:
    """What was uploaded, if the verb can take it. Raises `UserError` where it cannot."""
    if not file:
        raise UserError(f"Give it a {'picture' if verb.takes == 'picture' else 'table'} first.")
    return guard.picture(file) if verb.takes == "picture" else guard.table(file)


def options(verb: Verb, run: Path, file: Path, out: Path, seed: int, values: dict[str, Any]) -> Any:
    """The options of a verb's command; values that are left out are the command's own."""
    told = {
        name: int(v) if name in WHOLE else v for name, v in values.items() if v not in (None, "")
    }
    what: dict[str, Any] = {"inputs": (file,)} if verb.takes == "picture" else {"file": str(file)}
    return verb.options(run=run, out=out, seed=int(seed), **what, **told)


def canvas(file: Path) -> np.ndarray:
    """A picture to be drawn on, (height, width, 3), a small one with each pixel as a square."""
    picture = images(file).read([0])["image"][0]
    zoom = max(1, SIDE // max(picture.shape[1:]))
    large = picture[:3].repeat_interleave(zoom, dim=1).repeat_interleave(zoom, dim=2)
    return large.expand(3, -1, -1).mul(255).round().byte().permute(1, 2, 0).numpy()


def mask(painted: dict[str, Any] | None, size: tuple[int, int]) -> Tensor:
    """Where an editor's layers were painted on, (1, height, width) of 0 and 1, at a picture's own
    size. Raises `UserError` where nothing is painted."""
    layers = [torch.from_numpy(np.asarray(one)[..., 3] > 0) for one in (painted or {})["layers"]]
    if not layers or not any(one.any() for one in layers):
        raise UserError("Paint over what is to be made anew: nothing is marked yet.")
    whole = torch.stack(layers).any(0).float()[None, None]
    share = torch.nn.functional.interpolate(whole, size=size, mode="area")[0]
    return (share > HIDDEN).float()


def walked(
    place: Place, verb: Verb, asked: restoring.Options, system: System, painted: Any, folder: Path
) -> tuple[wishes.Walk, restoring.Options, Any]:
    """The walk that answers, the options as the command is told them, and what saves its end."""
    if isinstance(asked, restoring.Inpaint):
        size = tuple(images(asked.inputs[0]).read([0])["image"].shape[2:])
        asked = replace(asked, mask=save(mask(painted, size), folder / "mask.png"))
    place.given, walk = wishes.answered(verb.name, asked, system)

    def saved(data: Tensor) -> Path:
        restoring.write(folder, asked.inputs[0].stem, place.given, data)
        return packed(folder)

    return walk, _named(asked), saved


def _named(asked: Any) -> Any:
    """The options with files by their names alone: where they lie here is nobody's concern."""
    changes: dict[str, Any] = {"out": Path("answers")}
    if hasattr(asked, "inputs"):
        changes["inputs"] = tuple(Path(file.name) for file in asked.inputs)
    else:
        changes |= {"file": Path(asked.file).name, "out": Path("answers.csv")}
    if getattr(asked, "mask", None):
        changes["mask"] = Path(asked.mask.name)
    return replace(asked, **changes)


def told(verb: Verb, asked: Any) -> str:
    """The command line of a question."""
    return wishes.told(wishes.line(verb.name, _named(asked)))


def by_child(
    place: Place, desk: Desk, verb: Verb, asked: Any, folder: Path
) -> Generator[tuple[str, Path | None]]:
    """What to say while a command answers in a process of its own, and where its files are once it
    has; it ends when the visitor cancels. Raises `UserError` with its own last words."""
    child = Child(wishes.line(verb.name, asked), desk.new_folder() / "said.log")
    began = time.monotonic()
    try:
        while child.status is None:
            if place.stop.asked():
                return
            yield f"Working, {drawing.lasting(time.monotonic() - began)}", None
            time.sleep(LOOK)
    finally:
        if child.status is None:
            child.stop()
            child.wait(10.0)
    last = child.said().splitlines()[-1:] or ["It ended without a word."]
    if child.status:
        raise UserError(last[0].removeprefix("hush: "))
    yield last[0].replace(str(folder), "the download"), folder


def shown(folder: Path, alt: str) -> str:
    """The picture that a command left: what was given beside its answer."""
    every = sorted(folder.glob("*.png"))
    best = [file for file in every if file.stem.endswith("beside")] or every
    return "".join(drawing.figure(file.read_bytes(), alt) for file in best[:1])


def packed(folder: Path) -> Path:
    """A folder as one file to be downloaded."""
    return Path(shutil.make_archive(str(folder), "zip", folder))
