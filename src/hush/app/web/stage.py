"""Where a walk is watched: the picture, how far it is, a slider along its way, and Cancel. Two tabs
have one."""

import traceback
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from hush.app.web import drawing
from hush.app.web.desk import Desk, Place
from hush.app.web.walking import recorded
from hush.app.web.wishes import Walk, told
from hush.errors import UserError

QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Stage:
    """The parts of one, in the order in which they are answered."""

    tab: str
    picture: gr.HTML
    progress: gr.HTML
    along: gr.Slider
    line: gr.Code
    files: gr.DownloadButton

    @property
    def parts(self) -> list[Any]:
        """What a walk changes."""
        return [self.picture, self.progress, self.along, self.line, self.files]


def buttons(word: str, tab: str) -> tuple[gr.Button, gr.Button]:
    """What begins it, and what ends it."""
    with gr.Row(elem_classes="hush-buttons"):
        begin = gr.Button(word, variant="primary", elem_id=f"{tab}-begin", min_width=120)
        cancel = gr.Button("Cancel", variant="stop", elem_id=f"{tab}-cancel", min_width=90)
    return begin, cancel


def built(tab: str, words: str) -> Stage:
    """An empty stage."""
    picture = gr.HTML(drawing.empty(words), elem_id=f"{tab}-picture")
    progress = gr.HTML("", elem_id=f"{tab}-progress")
    along = gr.Slider(
        0,
        1,
        value=1,
        step=1,
        label="Along the way, from noise to data",
        elem_id=f"{tab}-along",
        interactive=True,
        visible=False,
        buttons=[],
    )
    files = gr.DownloadButton("Download", visible=False, elem_id=f"{tab}-files", size="sm")
    with gr.Accordion("The same by the command line", open=False):
        line = gr.Code("", language="shell", show_label=False, elem_id=f"{tab}-line", lines=2)
    return Stage(tab, picture, progress, along, line, files)


def wired(
    desk: Desk,
    stage: Stage,
    begin: gr.Button,
    cancel: gr.Button,
    asked: Any,
    inputs: list[Any],
) -> None:
    """`asked(place, *inputs)` yields the updates of the stage's parts; what a button begins waits
    its turn, and ends between two steps when it is cancelled."""

    def queued(request: gr.Request) -> tuple[str, Any]:
        before = desk.begin(request.session_hash, stage.tab)
        words = f"Waiting for {before} before it" if before else "Beginning"
        return drawing.bar(0.0, words), gr.update(visible=False)

    def walked(request: gr.Request, *values: Any) -> Generator[Any]:
        place = desk.place(request.session_hash, stage.tab)
        try:
            if place.stop.asked():
                yield wrong("Cancelled before it began")
            else:
                yield from asked(place, *values)
        except Exception as error:
            yield wrong(sentence(error))
        finally:
            desk.ended(place)

    def ended(request: gr.Request) -> Any:
        going = desk.stop(request.session_hash, stage.tab)
        return drawing.bar(0.0, "Cancelling after this step") if going else gr.skip()

    def moved(request: gr.Request, number: int) -> tuple[Any, Any]:
        place = desk.place(request.session_hash, stage.tab)
        if place.system is None or not place.kept.frames:
            return gr.skip(), gr.skip()
        return looked(place, number)

    shown = [stage.picture, stage.progress]
    first = begin.click(queued, None, [stage.progress, stage.along], queue=False, **QUIET)
    first.then(walked, inputs, stage.parts, concurrency_id="walks", concurrency_limit=1, **QUIET)
    cancel.click(ended, None, stage.progress, queue=False, **QUIET)
    stage.along.input(moved, stage.along, shown, queue=False, trigger_mode="always_last", **QUIET)


def looked(place: Place, number: int) -> tuple[str, str]:
    """A frame of what was kept, and where it stands."""
    kept, frame = place.kept, place.kept.at(number)
    last = kept.over and frame is kept.frames[-1]
    alt = f"step {frame.step} of {kept.steps}"
    if last and place.given is not None:
        picture = drawing.beside(place.given, frame.data, alt)
    else:
        picture = drawing.drawn(place.system, frame.data, alt)
    words = f"Step {frame.step} of {kept.steps} · time {frame.time:.2f}"
    return picture, drawing.bar(frame.step / kept.steps, words)


def watched(place: Place, walk: Walk, command: list[str], save: Any) -> Generator[Any]:
    """The updates of a stage while a walk goes on, and when it has come to its end or was
    cancelled; `save` writes what was drawn, and says which file to offer."""
    place.system = walk.system
    line = told(command)
    for moment in recorded(walk.states(), walk.seen, place.stop.asked, place.kept):
        frame = moment.frame
        if moment.over:
            break
        alt = f"step {frame.step} of {moment.steps}"
        picture = drawing.drawn(walk.system, frame.data, alt)
        yield picture, drawing.going(moment), gr.skip(), line, gr.update(visible=False)
    last = len(place.kept.frames) - 1
    picture, progress = looked(place, last)
    file: Path | None = None
    if place.kept.over:
        progress = drawing.bar(1.0, f"Done: {place.kept.steps} steps")
        file = save(place.kept.frames[-1].data)
    elif place.stop.asked():
        step = place.kept.frames[last].step
        words = f"Cancelled after step {step} of {place.kept.steps}; the way until there is kept"
        progress = drawing.bar(step / place.kept.steps, words, "wrong")
    along = gr.update(maximum=max(1, last), value=last, visible=True)
    offered = gr.update(value=str(file) if file else None, visible=bool(file))
    yield picture, progress, along, line, offered


def sentence(error: Exception) -> str:
    """What went wrong, in a sentence; of what nobody foresaw the terminal has the whole story."""
    if isinstance(error, UserError):
        return str(error)
    traceback.print_exception(error)
    return f"This went wrong, and the terminal says where: {error or type(error).__name__}"


def wrong(words: str) -> list[Any]:
    """The updates of a stage of which only the progress says something else."""
    return [gr.skip(), drawing.bar(0.0, words, "wrong"), gr.skip(), gr.skip(), gr.skip()]
