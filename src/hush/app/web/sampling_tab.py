"""Sample: draw from what a run has learnt, and watch the noise lift."""

import random
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr
from torch import Tensor

from hush.app import generating
from hush.app.choices import GRIDS, SAMPLERS
from hush.app.web import stage, wishes
from hush.app.web.desk import Desk, Place
from hush.app.web.verbs import draws
from hush.data import grid, save
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.system import System

OWN = "the run's own"
STEPS = 20  # of a walk through numbers, which hush's own sampler needs no more for
COUNT = 16


def built(desk: Desk, chosen: gr.Dropdown) -> list[Any]:
    """The tab; the parts that say how a walk moves: sampler, grid, steps."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            inputs = _settings()
            begin, cancel = stage.buttons("Draw", "sample")
        with gr.Column(scale=7, min_width=300):
            shown = stage.built("sample", "Draw, and the noise becomes data here, step by step.")

    def asked(place: Place, name: str | None, *values: Any) -> Generator[Any]:
        if not name:
            raise UserError("There is no run to draw from: train one under Training.")
        system, run = desk.system(name), desk.runs.shown / name
        options = wish(system, desk.runs.shown if desk.runs.single else run, *values)
        walk = wishes.drawn(options, system)
        words = wishes.line(
            "generate" if isinstance(options, generating.Options) else "sample", options
        )
        yield from stage.watched(place, walk, words, lambda data: kept(desk, options, system, data))

    stage.wired(desk, shown, begin, cancel, asked, [chosen, *inputs])
    gr.on(None, lambda name: suited(desk, name), chosen, inputs, queue=False, **stage.QUIET)
    return inputs[1:4]


def _settings() -> list[Any]:
    """The settings, in the order of `wish`."""
    count = gr.Slider(
        1, wishes.MOST, value=COUNT, step=1, label="How many", buttons=[], elem_id="sample-count"
    )
    classes = gr.Dropdown(
        [], label="Class", info="None is all of them, in turn.", multiselect=True, visible=False
    )
    guidance = gr.Slider(
        0,
        10,
        value=1,
        step=0.1,
        label="Guidance",
        buttons=[],
        visible=False,
        info="1 is none; more is clearer and less varied. It asks the network twice a step.",
    )
    sampler = gr.Dropdown(
        [OWN, *SAMPLERS],
        value=OWN,
        label="Sampler",
        allow_custom_value=True,
        info="Settings after a colon: multistep:order=2",
        elem_id="sample-sampler",
    )
    steps = gr.Slider(
        1, 1000, value=STEPS, step=1, label="Steps", buttons=[], elem_id="sample-steps"
    )
    seed = seeds("sample")
    with gr.Accordion("Grid of noise levels", open=False):
        levels = gr.Dropdown([OWN, *GRIDS], value=OWN, label="Grid", allow_custom_value=True)
    return [count, sampler, levels, steps, seed, classes, guidance]


def seeds(tab: str) -> gr.Number:
    """A seed, and a button for another one."""
    with gr.Row(elem_classes="hush-seed"):
        seed = gr.Number(
            _seed(),
            precision=0,
            minimum=0,
            label="Seed",
            elem_id=f"{tab}-seed",
            scale=3,
            min_width=110,
        )
        again = gr.Button("New seed", scale=2, size="md", min_width=90, elem_classes="hush-beside")
    again.click(_seed, None, seed, queue=False, **stage.QUIET)
    return seed


def _seed() -> int:
    return random.getrandbits(31)


def wish(
    system: System,
    run: Path,
    count: int,
    sampler: str,
    levels: str,
    steps: int,
    seed: int,
    classes: list[str] | None,
    guidance: int | float,
) -> Any:
    """The options of the command that draws. Raises `UserError` for a run that wants something
    given first."""
    kind = draws(system)
    if kind is None:
        raise UserError(
            f"A model of {system.name} makes something from what it is given: use the tab Ask."
        )
    chosen: dict[str, Any] = {"out": Path("windows.csv")} if kind is generating.Options else {}
    return kind(
        run,
        **chosen,
        count=int(count),
        sampler=None if sampler in (OWN, "", None) else sampler,
        grid=None if levels in (OWN, "", None) else levels,
        steps=int(steps),
        seed=int(seed),
        classes=",".join(classes) if classes and system.task.classes else None,
        guidance=float(guidance) if system.task.classes and guidance != 1 else None,
    )


def suited(desk: Desk, name: str | None) -> list[Any]:
    """The settings as they suit a run: classes where it has any; hush's own sampler, in few steps,
    where it is of numbers."""
    if not name:
        return [gr.skip()] * 7
    try:
        system = desk.system(name)
    except UserError:
        return [gr.skip()] * 7
    numbers = isinstance(system.denoiser.process, GaussianProcess)
    classes = list(system.task.classes)
    return [
        gr.skip(),
        "multistep" if numbers else OWN,
        OWN,
        min(system.grid.steps, STEPS) if numbers else system.grid.steps,
        gr.skip(),
        gr.update(choices=classes, value=[], visible=bool(classes)),
        gr.update(value=1, visible=bool(classes)),
    ]


def kept(desk: Desk, options: Any, system: System, data: Tensor) -> Path:
    """What was drawn as the command writes it, in one file to be downloaded."""
    folder = desk.new_folder()
    if isinstance(options, generating.Options):
        wishes.saved(options, system, data, folder / options.out.name)
        return folder / options.out.name
    inside = folder / f"seed-{options.seed}"
    wishes.saved(options, system, data, inside)
    save(grid(data, 10 if len(system.task.classes) == 10 else None), inside / "grid.png")
    return Path(shutil.make_archive(str(inside), "zip", inside))
