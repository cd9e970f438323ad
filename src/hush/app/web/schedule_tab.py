"""Schedule: how a run's noise comes, and where a walk through it stops."""

from typing import Any

import gradio as gr

from hush.app import sampling
from hush.app.web import curves, drawing, stage
from hush.app.web.desk import Desk
from hush.app.web.sampling_tab import OWN
from hush.errors import UserError

SAYS = (
    "Data lie at time 0, noise at time 1: x_t = α x_0 + σ noise. The dots are where the walk of "
    "the tab Sample stops, by its sampler, grid and steps."
)


def built(desk: Desk, chosen: gr.Dropdown, moves: list[Any]) -> None:
    """The tab; `moves` are the parts that say how a walk moves: sampler, grid, steps."""
    gr.Markdown(SAYS)
    shown = gr.HTML("", elem_id="schedule")
    quick = {"queue": False, "trigger_mode": "always_last", **stage.QUIET}
    gr.on(None, lambda *values: drawn(desk, *values), [chosen, *moves], shown, **quick)


def drawn(desk: Desk, name: str | None, sampler: str, grid: str, steps: int) -> str:
    """The curves of a run's schedule with the levels of a walk."""
    if not name:
        return drawing.empty("There is no run yet.")
    try:
        system = desk.system(name)
        words = [None if word in (OWN, "", None) else word for word in (sampler, grid)]
        system = sampling.settled(system, None, *words, int(steps), desk.runs.path(name))
        law = system.denoiser.process.schedule
        return curves.schedule(law, system.grid(law))
    except UserError as error:
        return drawing.bar(0.0, str(error), "wrong")
