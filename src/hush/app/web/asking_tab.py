"""Ask: a picture made whole, a table told; what was given beside what came of it."""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hush.app.choices import SAMPLERS
from hush.app.web import asking, drawing, stage, wishes
from hush.app.web.desk import Desk, Place
from hush.app.web.sampling_tab import OWN, seeds
from hush.app.web.verbs import SETTINGS, Verb, verbs
from hush.data import save
from hush.errors import UserError
from hush.tasks.purify import PURIFIERS

FREE = ("classes", "factor")  # what a run is told only if it was not trained to be given anything
PAINT = "Paint the hole"
HOLES = "inpaint", "uncrop"
OVER = "This run only draws: the hole is gone over ten times."


def built(desk: Desk, chosen: gr.Dropdown) -> None:
    """The tab."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            verb = gr.Radio([], label="What", elem_id="ask-verb")
            says = gr.HTML("", elem_id="ask-says")
            file = gr.File(label="Picture", elem_id="ask-file", height=130)
            take = gr.Button("Take the first one from Sample", size="sm", elem_id="ask-take")
            bad = gr.HTML("", elem_id="ask-bad")
            editor = _editor()
            settings = _settings()
            seed = seeds("ask")
            begin, cancel = stage.buttons("Ask", "ask")
        with gr.Column(scale=7, min_width=300):
            words = "Give it something, and what comes of it stands here beside what it was."
            shown = stage.built("ask", words)

    def asked(place: Place, name: str, what: str, given: Any, painted: Any, *values: Any) -> Any:
        known = verb_of(desk, name, what)
        yield from answered(desk, place, name, known, given, painted, values)

    inputs = [chosen, verb, file, editor, seed, *settings.values()]
    stage.wired(desk, shown, begin, cancel, asked, inputs)
    quick = {"queue": False, **stage.QUIET}
    fitted = [says, file, take, editor, *settings.values()]
    gr.on(None, lambda name: offered(desk, name), chosen, verb, **quick)
    verb.change(lambda name, what: suited(desk, name, what), [chosen, verb], fitted, **quick)
    gr.on(
        [file.change, verb.change],
        lambda name, what, given: looked(desk, name, what, given),
        [chosen, verb, file],
        [bad, editor],
        **quick,
    )

    def drawn(request: gr.Request) -> str:
        return first(desk, request.session_hash)

    take.click(drawn, None, file, **quick)


def _editor() -> gr.ImageEditor:
    return gr.ImageEditor(
        label=PAINT,
        type="numpy",
        format="png",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=48, colors=["#f97316"], color_mode="fixed"),
        canvas_size=(asking.SIDE, asking.SIDE),
        buttons=[],
        visible=False,
        elem_id="ask-editor",
    )


def _settings() -> dict[str, Any]:
    """A part for each setting that a command may have; a run and a verb show those they know."""
    hidden = {"visible": False}
    slider = partial(gr.Slider, buttons=[])
    side = {"maximum": 128, "value": 0, "step": 1, "minimum": 0, **hidden}
    made = {
        "count": slider(1, 16, 1, step=1, label="Answers", elem_id="ask-count", **hidden),
        "steps": slider(1, 250, 20, step=1, label="Steps", elem_id="ask-steps", **hidden),
        "sampler": gr.Dropdown([OWN, *SAMPLERS], value=OWN, label="Sampler", **hidden),
        "classes": gr.Dropdown([], label="Class of what is made", **hidden),
        "guidance": slider(0, 10, 1, step=0.1, label="Guidance to the class", **hidden),
        "factor": slider(2, 8, 2, step=1, label="Times larger", **hidden),
        "exact": gr.Checkbox(False, label="Hold it to what is given", **hidden),
        "horizon": slider(1, 200, 12, step=1, label="Stamps ahead", **hidden),
        **{
            name: slider(label=f"Pixels {word}", **side)
            for name, word in (
                ("top", "above"),
                ("right", "on the right"),
                ("bottom", "below"),
                ("left", "on the left"),
            )
        },
        "depth": slider(0.05, 1, 0.25, step=0.05, label="How deep into the noise", **hidden),
        "repeats": slider(1, 16, 4, step=1, label="Repeats", **hidden),
        "by": gr.Dropdown(list(PURIFIERS), value="diffpure", label="How", **hidden),
        "samples": slider(1, 100, 20, step=1, label="Answers to each window", **hidden),
    }
    return {name: made[name] for name in SETTINGS}


def offered(desk: Desk, name: str | None) -> Any:
    """The verbs of a run."""
    try:
        known = [verb.name for verb in verbs(desk.system(name))] if name else []
    except UserError:
        known = []
    return gr.update(choices=known, value=known[0] if known else None)


def verb_of(desk: Desk, name: str | None, what: str | None) -> Verb:
    """The verb of that name, if the run answers it. Raises `UserError` if not."""
    known = verbs(desk.system(name)) if name else ()
    for verb in known:
        if verb.name == what:
            return verb
    if name and not known:
        raise UserError("This run is not asked anything: see Sample.")
    raise UserError("Choose a run, and what is asked of it.")


def suited(desk: Desk, name: str | None, what: str | None) -> list[Any]:
    """What the tab shows of a verb: its words, what it takes, and its settings; or why there is
    none."""
    try:
        verb, system = verb_of(desk, name, what), desk.system(name)
    except UserError as error:
        hidden = gr.update(visible=False)
        return [drawing.facts([("", str(error))]), *[hidden] * (3 + len(SETTINGS))]
    pictures = verb.takes == "picture"
    label = "Picture" if pictures else "Table of series, .csv or .parquet"
    file = gr.update(visible=True, label=label)
    known = verb.settings()
    over = OVER if verb.name in HOLES and not system.task.asks else ""
    more = {
        "classes": {"choices": list(system.task.classes), "value": None},
        "steps": {"info": over},
    }
    updates = []
    for one in SETTINGS:
        shown = one in known and not (one in FREE and system.task.asks)
        shown &= one not in ("classes", "guidance") or bool(system.task.classes)
        updates.append(gr.update(visible=shown, **more.get(one, {})))
    paints = gr.update(visible=verb.name == "inpaint")
    return [
        drawing.facts([(verb.name, verb.says)]),
        file,
        gr.update(visible=pictures),
        paints,
        *updates,
    ]


def looked(desk: Desk, name: str | None, what: str | None, given: Any) -> tuple[str, Any]:
    """What is wrong with an upload, and the picture to be painted on."""
    if not given:
        return "", None
    try:
        verb = verb_of(desk, name, what)
        file = asking.taken(verb, given)
        board = asking.canvas(file) if verb.name == "inpaint" else None
    except UserError as error:
        return drawing.bar(0.0, str(error), "wrong"), None
    return "", None if board is None else {"background": board, "layers": [], "composite": board}


def first(desk: Desk, visitor: str) -> str:
    """The first of the pictures that were drawn last, as a file. Raises `gr.Error` for none."""
    place = desk.place(visitor, "sample")
    if not place.kept.over or place.kept.frames[-1].data.ndim != 4:
        raise gr.Error("Draw some pictures under Sample first.", duration=6)
    path = desk.new_folder() / "drawn.png"
    return str(save(place.kept.frames[-1].data[0], path, int(place.system.codec.levels) or None))


def answered(
    desk: Desk, place: Place, name: str, verb: Verb, given: Any, painted: Any, values: Any
) -> Generator[Any]:
    """The updates of the stage until there is an answer."""
    seed, *rest = values
    system, known = desk.system(name), verb.settings()
    chosen = {one: value for one, value in zip(SETTINGS, rest, strict=True) if one in known}
    if chosen.get("sampler") == OWN:
        del chosen["sampler"]
    if system.task.asks:
        chosen = {one: value for one, value in chosen.items() if one not in FREE}
    run = desk.runs.shown if desk.runs.single else desk.runs.shown / name
    folder = desk.new_folder()
    file = asking.taken(verb, given)
    out = folder if verb.takes == "picture" else folder / "answers.csv"
    asked = asking.options(verb, run, file, out, seed, chosen)
    if verb.walked:
        walk, named, saved = asking.walked(place, verb, asked, system, painted, folder)
        yield from stage.watched(place, walk, wishes.line(verb.name, named), saved)
        return
    line, hidden = asking.told(verb, asked), gr.update(visible=False)
    for words, answer in asking.by_child(place, desk, verb, asked, folder):
        picture = asking.shown(answer, words) if answer else gr.skip()
        download = (
            gr.update(value=str(asking.packed(Path(answer))), visible=True) if answer else hidden
        )
        yield picture, drawing.bar(float(bool(answer)), words), hidden, line, download
    if place.stop.asked():
        yield gr.skip(), drawing.bar(0.0, "Cancelled", "wrong"), hidden, line, hidden
