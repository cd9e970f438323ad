"""Training: begin one, watch what it learns, stop it with all it learnt saved."""

from pathlib import Path
from typing import Any

import gradio as gr

from hush.app.web import curves, drawing, stage
from hush.app.web.desk import Desk
from hush.app.web.training import SIZES, Wanted, trainable
from hush.app.web.wishes import told
from hush.errors import UserError

EVERY = 2.0  # seconds between two looks
SHARED = "A page that is shared trains nothing: what to learn from lies on this machine."


def built(desk: Desk, chosen: gr.Dropdown) -> None:
    """The tab."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            form, keep, begin, stop, line = _form(desk)
        with gr.Column(scale=7, min_width=300):
            state = gr.HTML("", elem_id="training-state")
            figures = gr.HTML("", elem_id="training-curves")
            along = gr.Slider(
                0,
                1,
                1,
                step=1,
                label="Samples over time",
                visible=False,
                buttons=[],
                elem_id="training-along",
            )
            samples = gr.HTML("", elem_id="training-samples")
            with gr.Accordion("What it says", open=False):
                said = gr.HTML("", elem_id="training-said")
    watched = [state, figures, along, samples, said]
    seen = gr.State("")
    quick = {"queue": False, **stage.QUIET}

    def look(name: str | None, before: str) -> Any:
        return watch(desk, name, before)

    gr.Timer(EVERY).tick(look, [chosen, seen], [*watched, seen], **quick)
    gr.on(None, lambda name: watch(desk, name, ""), chosen, [*watched, seen], **quick)
    along.input(lambda name, k: sampled(desk, name, k), [chosen, along], samples, **quick)
    begin.click(lambda *values: begun(desk, *values), [*form, keep], [chosen, state, line], **quick)
    stop.click(lambda name: stopped(desk, name), chosen, state, **quick)


def _form(desk: Desk) -> tuple[list[Any], Any, Any, Any, Any]:
    """What a training is told, in the order of `Wanted`; whether it outlives the page; buttons."""
    able = not desk.shared and not desk.runs.single
    data = gr.Textbox(
        "digits",
        label="Data",
        info="A folder of pictures, a file of series, or digits.",
        elem_id="train-data",
    )
    name = gr.Textbox("new", label="Name of the run", elem_id="train-name")
    system = gr.Dropdown(trainable(), value="ddpm", label="System", elem_id="train-system")
    with gr.Row():
        whole = {"precision": 0, "minimum": 1, "min_width": 90}
        steps = gr.Number(2000, label="Steps", elem_id="train-steps", **whole)
        batch = gr.Number(64, label="Batch", elem_id="train-batch", **whole)
        rate = gr.Number(1e-3, minimum=1e-7, label="Learning rate", min_width=110)
    with gr.Row():
        size = gr.Dropdown(list(SIZES), value="small", label="Size of the network", min_width=130)
        side = gr.Number(0, precision=0, minimum=0, label="Side, 0 as it is", min_width=130)
    keep = gr.Checkbox(False, label="Goes on when the page is closed in the terminal")
    with gr.Row(elem_classes="hush-buttons"):
        begin = gr.Button("Train", variant="primary", interactive=able, elem_id="train-begin")
        stop = gr.Button("Stop and save", variant="stop", elem_id="train-stop")
    if desk.shared:
        gr.Markdown(SHARED)
    elif desk.runs.single:
        gr.Markdown("To train new runs, open the page on a folder of runs: `hush app FOLDER`.")
    with gr.Accordion("The same by the command line", open=False):
        line = gr.Code("", language="shell", show_label=False, lines=2)
    return [system, data, name, steps, batch, rate, size, side], keep, begin, stop, line


def begun(desk: Desk, system: str, data: str, name: str, *values: Any) -> Any:
    """Begin a training, and watch it."""
    *settings, keep = values
    steps, batch, rate, size, side = settings
    try:
        if desk.shared:
            raise UserError(SHARED)
        out = desk.runs.new(name)
        numbers = (int(steps), int(batch), float(rate))
        wanted = Wanted(system, data, out, *numbers, size, int(side) if side else None)
        shown = wanted._replace(out=desk.runs.shown / name).words()
        desk.trainings.begin(wanted, keep)
    except UserError as error:
        return gr.skip(), drawing.bar(0.0, str(error), "wrong"), gr.skip()
    names = list(dict.fromkeys([name, *desk.runs.names()]))
    return gr.update(choices=names, value=name), drawing.bar(0.0, "Beginning"), told(shown)


def stopped(desk: Desk, name: str | None) -> Any:
    """Ask the training of a run to end."""
    child = desk.trainings.of(desk.runs.folder(name)) if name else None
    if child is None or child.status is not None:
        return drawing.bar(0.0, "This page trains nothing there just now.", "wrong")
    child.stop()
    return drawing.bar(0.0, "Stopping after this step; all it learnt is being saved")


def watch(desk: Desk, name: str | None, before: str) -> list[Any]:
    """The state, curves, samples and words of a run; nothing where nothing has changed."""
    if not name:
        empty = drawing.empty("What a run learns is shown here, as it learns it.")
        return [empty, "", gr.update(visible=False), "", "", "nothing"]
    try:
        run = desk.runs.folder(name)
    except UserError as error:
        return [drawing.bar(0.0, str(error), "wrong"), "", gr.skip(), "", "", before]
    child, lines = desk.trainings.of(run), curves.metrics(run)
    pictures = drawn_in(run)
    working = None if child is None else (child.status, child.asked)
    now = repr((name, len(lines), len(pictures), working))
    if now == before:
        return [gr.skip()] * 6
    last = len(pictures) - 1
    along = gr.update(maximum=max(1, last), value=max(0, last), visible=last > 0)
    said = f'<pre class="hush-log">{drawing.escaped(child.said())}</pre>' if child else ""
    drawn = curves.losses(lines) if lines else drawing.empty("No loss has been measured yet.")
    return [standing(desk, name, child, lines), drawn, along, _picture(pictures, last), said, now]


def standing(desk: Desk, name: str, child: Any, lines: curves.Lines) -> str:
    """How far a training is, and whether it goes on."""
    step = lines[-1]["step"] if lines else 0
    try:
        steps = int(desk.record(name).get("recipe", {}).get("steps") or step)
    except UserError:
        steps = step
    words = f"Step {step:,} of {steps:,}"
    losses = [line["loss"] for line in lines if "loss" in line]
    words += f" · loss {losses[-1]:.4f}" if losses else ""
    if child is not None and child.status is None:
        return drawing.bar(
            step / max(steps, 1), f"{words} · {'stopping' if child.asked else 'learning'}"
        )
    if child is not None and child.status:
        said = child.said().splitlines()[-1:] or [f"It ended with status {child.status}."]
        return drawing.bar(step / max(steps, 1), said[0].removeprefix("hush: "), "wrong")
    words += " · stopped and saved" if child is not None and step < steps else ""
    return drawing.bar(step / max(steps, 1), words)


def drawn_in(run: Path) -> list[Path]:
    """The pictures of samples that a training has left, the first first."""
    return sorted((run / "samples").glob("step-*.png"))


def sampled(desk: Desk, name: str | None, number: int) -> str:
    """One of these pictures."""
    return _picture(drawn_in(desk.runs.path(name)), int(number)) if name else ""


def _picture(pictures: list[Path], number: int) -> str:
    if not pictures:
        return ""
    path = pictures[max(0, min(number, len(pictures) - 1))]
    step = int(path.stem.partition("-")[2])
    return drawing.figure(
        path.read_bytes(), f"samples at step {step}", caption=f"Samples at step {step:,}"
    )
