"""The head of the page: which run, and what it is."""

from typing import Any

import gradio as gr

from hush.app.web import drawing
from hush.app.web.desk import Desk
from hush.errors import UserError
from hush.systems.index import TABLE

NOTHING = "No run yet: train one under Training."


def built(desk: Desk) -> gr.Dropdown:
    """The chooser of runs, and facts of the one chosen."""
    names = desk.runs.names()
    with gr.Row(elem_id="head", equal_height=True):
        gr.HTML('<h1 aria-label="hush"><i>h</i><i>u</i><i>s</i><i>h</i></h1>', elem_id="brand")
        chosen = gr.Dropdown(
            names,
            value=names[0] if names else None,
            label="Run",
            elem_id="run",
            scale=2,
            min_width=200,
            interactive=not desk.runs.single,
        )
        facts = gr.HTML(_facts(desk, names[0] if names else None), elem_id="facts")
    about = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
    chosen.change(lambda name: _facts(desk, name), chosen, facts, **about)
    chosen.focus(lambda: gr.update(choices=desk.runs.names()), None, chosen, **about)
    return chosen


def _facts(desk: Desk, name: str | None) -> str:
    if not name:
        return drawing.facts([("", NOTHING)])
    try:
        record = desk.record(name)
    except UserError as error:
        return drawing.facts([("", str(error))])
    data: Any = record.get("data") or {}
    shape = "x".join(map(str, record["arguments"].get("shape", ())))
    paper = TABLE[record["name"]].paper if record["name"] in TABLE else ""
    rows = [(record["name"], paper), ("data", str(data.get("name", ""))), ("shape", shape)]
    classes = record["arguments"].get("classes") or ()
    return drawing.facts([*rows, ("classes", str(len(classes)) if classes else "")])
