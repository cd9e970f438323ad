"""`hush app`: a page on this machine to train, sample, ask and watch."""

import os
import signal
import threading
import webbrowser
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from hush.errors import UserError

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
HERE = "127.0.0.1"
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Options:
    """A page in your browser: choose a run and what to ask of it, watch the answer come out of the
    noise, go back and forth along the way, train and watch. It is served to this machine alone, and
    asks nothing of any other; Ctrl-C ends it."""

    runs: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = Path("runs")
    """A run, or a folder of runs, in which new ones are trained too."""
    port: Whole = None
    """Where on this machine; by default the first that is free from 7860 on."""
    share: bool = False
    """Also by a public address, of which anybody who knows it can use the page. Then it trains
    nothing."""
    open: bool = False
    """Open it in the browser."""


def app(arguments: list[str]) -> None:
    """Serve the page until Ctrl-C."""
    options = tyro.cli(
        Options, args=arguments, prog="hush app", config=(tyro.conf.FlagCreatePairsOff,)
    )
    if find_spec("gradio") is None:
        raise UserError("hush app needs gradio: pip install 'hush[app]'.")
    if options.runs.exists() and not options.runs.is_dir():
        raise UserError(f"{options.runs} is a file: name a run, or a folder of runs.")
    os.environ.update(QUIET)
    from hush.app.web.page import Page

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    page = Page(options.runs, options.share)
    try:
        address = page.serve(options.port)
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if options.open:
            webbrowser.open(address)
        ended.wait()
    finally:
        for run in page.close():
            print(f"The training of {run} goes on.")
