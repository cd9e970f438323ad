"""A walk as it is watched: frames as they come, at a bounded rate, and some that are kept.

states of a walk ── recorded ──► Moment, Moment, …        to be shown
                       └───────► Trajectory               to go back and forth along
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from hush.samplers import State

FRAMES = 61  # that are kept, at most
ROOM = 2**28  # bytes that they take, at most
PAUSE = 0.1  # seconds between two moments, at least
SHARE = 4.0  # times as long as it took to show the last one, at least


class Frame(NamedTuple):
    """Data in their own units as they stand after so many steps, at a time."""

    step: int
    time: float
    data: Tensor


class Moment(NamedTuple):
    """Where a walk stands, and what it looks like there."""

    steps: int
    frame: Frame
    elapsed: float
    over: bool

    @property
    def left(self) -> float:
        """Seconds that the rest will take, as fast as it went until now."""
        return self.elapsed / max(self.frame.step, 1) * (self.steps - self.frame.step)


@dataclass
class Trajectory:
    """What is kept of a walk: frames evenly spaced along it, the first and the last among them."""

    frames: list[Frame] = field(default_factory=list)
    steps: int = 0
    over: bool = False

    def keeps(self, step: int) -> bool:
        """Whether the frame after so many steps is one to keep."""
        if not self.frames:
            return True
        most = max(2, min(FRAMES, ROOM // max(1, self.frames[0].data.nbytes)))
        apart = max(1.0, self.steps / (most - 1))
        return step == round(round(step / apart) * apart)

    def at(self, place: int) -> Frame:
        """The frame at a place of the slider, 0 the noise."""
        return self.frames[max(0, min(place, len(self.frames) - 1))]


def recorded(
    states: Generator[State],
    seen: Callable[[State], Tensor],
    stopped: Callable[[], bool],
    kept: Trajectory,
    pause: float = PAUSE,
) -> Generator[Moment]:
    """The moments of a walk that are worth showing, and the frames worth keeping in `kept`.

    `seen` gives the data that a state looks like. A walk ends between two steps once `stopped()`;
    what is kept until then stays. Two moments are `pause` seconds apart or more, longer where it
    takes long to show one; the first and the last are always among them.
    """
    began, due = time.monotonic(), 0.0
    for step, state in enumerate(states):
        now, last = time.monotonic(), step >= state.steps
        kept.steps, kept.over = max(state.steps, 1), last
        keep, show = last or kept.keeps(step), last or now >= due
        if keep or show:
            frame = Frame(step, float(state.t.time), seen(state))
        if keep:
            kept.frames.append(frame)
        if show:
            yield Moment(kept.steps, frame, now - began, last)
            shown = time.monotonic()
            due = shown + max(pause, SHARE * (shown - now))
        if stopped():
            if not keep:
                kept.frames.append(Frame(step, float(state.t.time), seen(state)))
            states.close()
            return
