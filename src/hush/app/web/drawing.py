"""Pictures and words as HTML that asks nothing of any other host: data within the page."""

import html
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from hush.app.web.walking import Moment
from hush.data import grid
from hush.data.pictures import address, png
from hush.system import System

Picture = Float[Tensor, "channel height width"]
Pictures = Float[Tensor, "count channel height width"]

SHARP = 256  # pixels below which a side is drawn as squares


def figure(content: bytes, alt: str, kind: str = "png", caption: str = "") -> str:
    """A picture in the page, named for those who do not see it."""
    source = address(content, "svg+xml" if kind == "svg" else kind)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    image = f'<img src="{source}" alt="{html.escape(alt, quote=True)}">'
    return f'<figure class="hush-{kind}">{image}{below}</figure>'


def sheet(system: System, data: Tensor) -> Picture:
    """Samples side by side or, of series, one below the other."""
    if data.ndim == 3:
        return system.task.picture(data[: system.task.shows])
    return grid(data)


def drawn(system: System, data: Tensor, alt: str) -> str:
    """A sheet of samples."""
    return figure(png(sheet(system, data)), alt)


def beside(given: Pictures, answers: Pictures, alt: str) -> str:
    """What was given under the answers, a divider between them that can be moved; then each answer
    by itself where there are several."""
    whole = _wide(given, answers)
    before, after = (png(_large(part[0])) for part in (whole, answers))
    sources = [address(before), address(after)]
    move = "this.parentNode.style.setProperty('--cut', this.value + '%')"
    told = html.escape(alt, quote=True)
    several = ""
    if len(answers) > 1:
        parts = [figure(png(_large(x)), f"answer {i + 1}") for i, x in enumerate(answers)]
        several = f'<div class="hush-answers">{"".join(parts)}</div>'
    return (
        f'<div class="hush-compare"><img src="{sources[0]}" alt="what was given">'
        f'<img class="after" src="{sources[1]}" alt="{told}">'
        f'<input type="range" min="0" max="100" value="50" aria-label="before and after" '
        f'oninput="{move}"><span class="left">before</span><span class="right">after</span></div>'
        f"{several}"
    )


def _wide(given: Pictures, answers: Pictures) -> Pictures:
    """What was given in the colours and the size of the answers."""
    from torch.nn import functional

    given = given.expand(-1, answers.shape[1], -1, -1).float()
    return functional.interpolate(given, size=answers.shape[2:], mode="nearest")


def _large(picture: Picture) -> Picture:
    """A small picture with each pixel as a square."""
    zoom = max(1, SHARP // max(picture.shape[1:]))
    return picture.repeat_interleave(zoom, dim=1).repeat_interleave(zoom, dim=2)


def bar(share: float, words: str, state: str = "") -> str:
    """How far something is, and what there is to say of it; `state` is "wrong" or ""."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    return (
        f'<div class="hush-bar {state}" role="status"><i style="width:{width}"></i></div>'
        f'<p class="hush-said {state}">{html.escape(words)}</p>'
    )


def going(moment: Moment) -> str:
    """The progress of a walk."""
    step, steps = moment.frame.step, moment.steps
    words = f"Step {step} of {steps}"
    if not moment.over and step:
        words += f" · {lasting(moment.left)} left"
    return bar(step / steps, words)


def lasting(seconds: float) -> str:
    """A time to wait, as one would say it."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def empty(words: str) -> str:
    """A place where a picture will stand."""
    return f'<div class="hush-empty"><p>{html.escape(words)}</p></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Short facts in a line."""
    cells = [f"<span><b>{html.escape(k)}</b> {html.escape(v)}</span>" for k, v in rows if v]
    return f'<div class="hush-facts">{"".join(cells)}</div>'


def escaped(words: str) -> str:
    """Words as they stand in HTML."""
    return html.escape(words)
