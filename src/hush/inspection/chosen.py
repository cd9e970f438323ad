"""What hush would choose for data and this machine, each choice with its reason."""

import math
from typing import Any

from hush.codecs import Codec, PerChannel
from hush.codecs.affine import Affine, Standard
from hush.data import Source, Windows, split
from hush.inspection.built import built, takes
from hush.inspection.candidates import Candidate, Terms, climbed
from hush.inspection.cost import SHARE
from hush.inspection.machine import called
from hush.inspection.networks import told
from hush.inspection.noise import Noise, measured, reach, wanted
from hush.inspection.useful import Useful, useful
from hush.inspection.words import millions, seconds, size, span
from hush.recipe import Choice
from hush.system import System
from hush.systems.index import TABLE
from hush.training.measuring import fit

RATES = ("learning_rate", "warmup", "decay", "ema", "precision")
DRAWS = ("generate", "detect")  # tasks of systems whose noise must hide all of the data


def chosen(source: Source, terms: Terms) -> tuple[Choice, ...]:
    """The choices for a source but for how it is read, in the order they are made."""
    system = built(terms.name, source, terms.said)
    seen, _ = split(source, system.recipe.held_out, seed=system.recipe.seed)
    fit(system.codec, system, seen, system.recipe.seed)
    noise = measured(system, seen, system.recipe.seed)
    heard = [] if noise is None else _noise(noise, system, source, terms)
    fixed = {key: value for choice in heard for key, value in choice.settings.items()}
    windows = isinstance(source, Windows)
    goal = useful(TABLE[terms.name].task, math.prod(source.shape), windows, len(seen))
    best, larger = climbed(source, goal, terms, fixed)
    return (
        _normaliser(system.codec, source),
        *heard,
        _network(best, larger, terms),
        _batch(best, terms),
        *(() if goal is None else _steps(best, len(seen))),
        _time(best, goal, terms),
    )


def _normaliser(codec: Codec, source: Source) -> Choice:
    kind = type(codec).__name__
    if isinstance(codec, PerChannel):
        why = f"mean 0 and deviation {codec.unit:g} for each channel, whatever its unit"
        return Choice("normaliser", kind, why)
    held = f"; samples are held to the {source.levels:,} levels" if source.levels else ""
    if not isinstance(codec, Affine):
        return Choice("normaliser", kind, f"the paper's{held}")
    low, high = (float(codec.encode(end.reshape(1))) for end in (codec.low, codec.high))
    data = f"the data run from {float(codec.low):.3g} to {float(codec.high):.3g}"
    return Choice("normaliser", f"{kind}, {low:.3g} to {high:.3g}", data + held)


def _noise(noise: Noise, system: System, source: Source, terms: Terms) -> list[Choice]:
    """The data's deviation, and the noise they want."""
    why = "the deviation of what is learnt, measured after the normaliser"
    if isinstance(system.codec, Standard):
        why = "the normaliser makes it what the network expects"
    deviation = Choice("sigma_data", f"{noise.deviation:.3g}", why)
    draws = TABLE[terms.name].task in DRAWS
    known = takes(terms.name) if isinstance(system.codec, Affine | PerChannel) else set()
    found = wanted(noise, known, reach(system)[1]) if draws else {}
    if found:
        system = built(terms.name, source, {**found, **terms.said})
    least, largest = reach(system)
    far = f"the farthest two of {noise.count:,} are {noise.farthest:.3g} apart"
    if not draws:
        hides = f"{far}; what is given tells the rest"
    elif largest >= noise.farthest:
        hides = f"{far}, and the loudest hides that"
    else:
        hides = f"{far}, more than the loudest hides"
    floor = f"; below {noise.least:.2g} it hides no level" if noise.least else ""
    value = f"{least:.2g} to {largest:.3g}"
    return [deviation, Choice("noise (\u03c3/\u03b1)", value, hides + floor, found)]


def _network(best: Candidate, larger: str, terms: Terms) -> Choice:
    now = {**best.network, **{k: v for k, v in terms.said.items() if k in takes(terms.name)}}
    said = told(now)
    value = f"{said + ', ' if said else ''}{millions(best.footprint.weights)} weights"
    return Choice("network", value, larger, best.network)


def _batch(best: Candidate, terms: Terms) -> Choice:
    batch, accumulate = best.recipe.batch, best.recipe.accumulate
    needs = best.footprint.bytes(batch // accumulate)
    why = f"a step takes about {size(needs)} of the {size(terms.memory)} that are free"
    if best.part is None:
        why += f", more than {100 * SHARE:.0f} %: it may not fit"
    if accumulate == 1:
        return Choice("batch", f"{batch:,}", why, {"batch": batch})
    settings: dict[str, Any] = {"batch": batch, "accumulate": accumulate}
    return Choice("batch", f"{batch:,} in {accumulate} parts", why, settings)


def _steps(best: Candidate, count: int) -> tuple[Choice, Choice]:
    now = best.recipe
    rates = {name: getattr(now, name) for name in RATES if name in best.settings}
    rate = f"{now.learning_rate:.2g}, {now.decay}"
    seen = now.steps * now.batch
    again = f"{seen / count:,.0f}" if seen >= 10 * count else f"{seen / count:.2g}"
    why = f"{seen:,} samples, each of the data {again} times"
    settings = {"steps": now.steps, "sample_every": now.sample_every}
    return (
        Choice("learning rate", rate, "as in runs measured, by width and batch", rates),
        Choice("steps", f"{now.steps:,}", why, settings),
    )


def _time(best: Candidate, goal: Useful | None, terms: Terms) -> Choice:
    step = f"{seconds(best.pace.step)} a step, measured now on {called(terms.device)}"
    busy = f"; alone on it, {span(best.hours * best.pace.share)}" if best.pace.busy else ""
    if "steps" in terms.said:
        means = "for the steps you say"
    else:
        means = f"until {goal.means}" if goal else "for the steps of the paper"
    over = (
        f"more than the {terms.hours:g} hours, yet the least; " if best.hours > terms.hours else ""
    )
    return Choice("time", span(best.hours), f"{over}{means}; {step}{busy}")
