"""Curves of a run: the noise of its schedule, and what it has learnt."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hush.app.web.drawing import figure
from hush.schedules import Level, Schedule

SIZE = (4.6, 2.9)  # inches of a panel
MOMENTS = 201  # that a schedule is drawn at
INK, PALE = "#334155", "#cbd5e1"
SIGNAL, NOISE, MARK = "#4f46e5", "#ea580c", "#0f766e"
HELD_OUT = "held_out/"
YARDSTICKS = {"average": "the data's average", "gaussian": "a fitted Gaussian"}

Lines = list[dict[str, Any]]


def schedule(law: Schedule, levels: Sequence[Level]) -> str:
    """What is left of the data and what has come of noise over time, and the log of their ratio
    squared; dots where a walk stops."""
    times = torch.linspace(0.0, 1.0, MOMENTS, dtype=torch.float64)
    every = law.levels(times)
    scales, axes = _panel("signal and noise", "time, from data to noise")
    for name, word, colour in (("alpha", "signal α", SIGNAL), ("sigma", "noise σ", NOISE)):
        axes.plot(times, [getattr(level, name) for level in every], color=colour, label=word)
        at = [(level.time, getattr(level, name)) for level in levels]
        axes.plot(*zip(*at, strict=True), "o", color=colour, ms=3.5)
    if max(level.sigma for level in every) > 20 * max(level.alpha for level in every):
        axes.set_yscale("symlog")
    axes.legend(frameon=False, fontsize=9)
    ratio, axes = _panel("log signal-to-noise ratio", "time, from data to noise")
    axes.plot(times, [_finite(level.log_snr) for level in every], color=MARK)
    at = [(level.time, _finite(level.log_snr)) for level in levels]
    axes.plot(*zip(*at, strict=True), "o", color=MARK, ms=3.5)
    panels = ((scales, "signal and noise over time"), (ratio, "log signal-to-noise over time"))
    return _together([figure(_svg(one), alt, "svg") for one, alt in panels])


def _finite(value: float) -> float:
    return value if np.isfinite(value) else float("nan")


def metrics(run: Path) -> Lines:
    """The lines of metrics.jsonl; one that is being written is left out."""
    found = []
    for line in _read(run / "metrics.jsonl").splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict) and isinstance(one.get("step"), int):
            found.append(one)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def losses(lines: Lines) -> str:
    """The loss of training and on held-out data over the steps; and of the newest examination the
    held-out loss at each noise level, beside the yardsticks'."""
    over, axes = _panel("loss", "steps")
    axes.plot(*_column(lines, "loss"), color=PALE, lw=1.2, label="training")
    axes.plot(*_column(lines, HELD_OUT + "mean"), "o-", color=SIGNAL, ms=3, label="held out")
    examined = [line for line in lines if HELD_OUT + "mean" in line]
    newest = examined[-1] if examined else {}
    for (key, word), style in zip(YARDSTICKS.items(), ("--", ":"), strict=True):
        each = [value for name, value in newest.items() if name.startswith(f"{key}/")]
        if each:
            axes.axhline(float(np.mean(each)), color=INK, ls=style, lw=1, label=word)
    axes.set_yscale("log" if _positive(lines) else "linear")
    axes.legend(frameon=False, fontsize=8.5)
    panels = [figure(_svg(over), "loss over the steps", "svg")]
    if newest:
        panels.append(figure(_svg(_by_level(newest)), "held-out loss by noise level", "svg"))
    return _together(panels)


def _by_level(line: dict[str, Any]) -> Any:
    drawn, axes = _panel(
        f"held-out loss by noise level, step {line['step']}", "time, data to noise"
    )
    parts = (
        ("held_out", "this model", SIGNAL, "o-"),
        *(
            (key, word, INK, style)
            for (key, word), style in zip(YARDSTICKS.items(), ("--", ":"), strict=True)
        ),
    )
    values = []
    for key, word, colour, style in parts:
        at = sorted(
            (float(name.partition("/")[2]), value)
            for name, value in line.items()
            if name.startswith(f"{key}/") and name != HELD_OUT + "mean"
        )
        if at:
            axes.plot(*zip(*at, strict=True), style, color=colour, ms=3, lw=1.3, label=word)
            values += [value for _, value in at]
    axes.set_yscale("log" if min(values, default=0.0) > 0.0 else "linear")
    axes.legend(frameon=False, fontsize=8.5)
    return drawn


def _column(lines: Lines, name: str) -> tuple[list[int], list[float]]:
    rows = [(line["step"], line[name]) for line in lines if name in line]
    return [step for step, _ in rows], [value for _, value in rows]


def _positive(lines: Lines) -> bool:
    """Whether all losses are, so that they fit an axis of powers."""
    every = [line[name] for line in lines for name in ("loss", HELD_OUT + "mean") if name in line]
    return min(every, default=0.0) > 0.0


def _panel(title: str, below: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    drawn = Figure(SIZE, layout="constrained")
    axes = drawn.add_subplot()
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel(below, fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(labelsize=8.5, colors=INK, which="both")
    axes.grid(True, color="#eef2f7", lw=0.8)
    axes.set_axisbelow(True)
    return drawn, axes


def _svg(drawn: Any) -> bytes:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.BytesIO()
    FigureCanvasSVG(drawn).print_svg(stream)
    return stream.getvalue()


def _together(figures: Sequence[str]) -> str:
    return f'<div class="hush-curves">{"".join(figures)}</div>'
