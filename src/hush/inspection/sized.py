"""At which size pictures would be learnt here."""

import math
from collections.abc import Callable

from hush.data.encoded import DEFAULT_SIDE, EncodedPictures
from hush.inspection.candidates import Terms, candidate, timed
from hush.inspection.networks import ladder
from hush.inspection.useful import useful
from hush.inspection.words import span
from hush.recipe import Choice
from hush.systems.index import TABLE

SIDES = (32, 64, 128, 256)


def sized(
    source: EncodedPictures, at: Callable[[int], EncodedPictures], terms: Terms
) -> tuple[int | None, Choice]:
    """(the side to read pictures at, None for their own, and the choice).

    The largest of `SIDES` that half of the pictures have and whose smallest network is trained
    within the hours; measured at 32 pixels, a step growing as the pixels, and so the steps.
    """
    sides, own = source.sizes.amin(1), (source.sizes == source.sizes[0]).all()
    middle = int(sides.median())
    if own and source.sizes[0].max() <= DEFAULT_SIDE:
        return None, Choice("size", "their own", "all are of one size, and small")
    if middle < SIDES[0]:
        side = max(8, 8 * (middle // 8))
        return side, _choice(side, f"half of them have no more than {middle} pixels a side")
    small = at(SIDES[0])
    hours = _hours(small, terms)
    known = [side for side in SIDES if side <= middle]
    spans = {side: hours * (side / SIDES[0]) ** _power(terms, len(source)) for side in known}
    fit = [side for side in known if spans[side] <= terms.hours]
    side = fit[-1] if fit else known[0]
    beyond = [other for other in known if other > side]
    if beyond:
        why = f"{beyond[0]} would take about {span(spans[beyond[0]])} here, with the least network"
    else:
        why = f"half of them have {middle} pixels a side or more"
    return side, _choice(side, why)


def _choice(side: int, why: str) -> Choice:
    return Choice("size", f"{side}x{side}", why, {"size": side})


def _hours(source: EncodedPictures, terms: Terms) -> float:
    """Of the smallest network."""
    goal = useful(TABLE[terms.name].task, math.prod(source.shape), False, len(source))
    (network, *_) = ladder(terms.name, source.shape, dict(terms.said), 0.0)
    return timed(source, candidate(source, goal, terms, network, network)).hours


def _power(terms: Terms, count: int) -> int:
    """How hours grow with the side: a step as its square, and the steps with it unless said."""
    goals = (useful(TABLE[terms.name].task, numbers, False, count) for numbers in (3072, 12288))
    return 2 if "steps" in terms.said or len(set(goals)) == 1 else 4
