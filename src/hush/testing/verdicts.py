"""What the figures of a walk mean, in sentences: each says what is wrong, and what mends it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from hush.errors import UserError
from hush.testing import measures
from hush.testing.measures import Character, Exact, Law
from hush.testing.mixtures import CLEAN
from hush.testing.subjects import Subject, spacings

FINE = 200  # steps where only what never converges is still wrong
GREY = "one grey level of 8 bits is 0.008"


@dataclass(frozen=True)
class Finding:
    """What is wrong (grave), or only worth knowing, in one or two sentences with what mends it."""

    measure: str
    sentence: str
    grave: bool = True

    def __str__(self) -> str:
        return self.sentence


def named(error: Exception) -> str:
    return f"{type(error).__name__} ({' '.join(str(error).split())[:90]})"


def trouble(subject: Subject, steps: int) -> str:
    """What no number of steps may do, in words: an error, NaN, divergence; "" where all is well."""
    chain = measures.CHAIN
    z = torch.tensor([[2.0], [-2.0], [0.5]], dtype=torch.float64).expand(3, chain.length)
    try:
        end = subject.walk(Exact(chain), chain.noised(z, subject.start(steps)), steps, seed=3)
    except UserError:
        raise
    except IndexError as error:
        return f"Reads past the end of its own table, {named(error)},"
    except Exception as error:
        return f"Raises {named(error)}"
    if not end.isfinite().all():
        return "Answers NaN or infinity"
    far = 25.0 if steps >= 10 else math.inf  # few steps may be as coarse as they like
    if steps >= 10 and chain.whitened(end, CLEAN).abs().max() < 0.05:
        return "Ends on the mean of the data, whatever it starts from,"
    away = (end - chain.mean).abs().max().item()
    return f"Diverges (ends {number(away)} away from the data)" if away > far else ""


def said(troubles: dict[int, str]) -> Iterator[Finding]:
    """One finding for each kind of trouble, in the words of its fewest steps."""
    kinds: dict[str, list[int]] = {}
    for count in sorted(count for count, words in troubles.items() if words):
        kinds.setdefault(troubles[count].partition(" (")[0], []).append(count)
    for counts in kinds.values():
        plural = "step" if counts == [1] else "steps"
        yield Finding("finite", f"{troubles[counts[0]]} at {_listed(counts)} {plural}.")


def _listed(counts: Sequence[int]) -> str:
    words = [f"{count:,}" for count in counts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(x: float) -> str:
    return f"{x:.3g}" if x < 1000.0 else f"{x:.0e}"


def start(subject: Subject, steps: Sequence[int]) -> Iterator[Finding]:
    """Whether the first level is what a walk can start from."""
    shares = {}
    for count in steps:
        level, prior = subject.start(count), subject.prior(count)
        size = math.hypot(level.alpha, level.sigma)
        shares[count] = level.alpha / size
        if abs(prior / size - 1.0) > 0.02:
            yield Finding(
                "start",
                f"Starts from noise of deviation {prior:.3g}, where data of variance 1 are at "
                f"{size:.3g} on its first level ({count} steps). Scale the noise to the level.",
            )
    count = max(shares, key=shares.__getitem__)
    if shares[count] > 0.05:
        yield Finding(
            "start",
            f"Begins with {shares[count]:.1%} of the data's own size in the state ({count} steps), "
            "and pure noise has none: brightness and large shapes come out wrong. Begin at t = 1, "
            "or take a schedule with less signal there (zero_terminal_snr, with v or x_0).",
        )


def levels(subject: Subject, steps: Sequence[int], kind: Character) -> Iterator[Finding]:
    """Whether the state is where the belief is told it is, and ends without noise."""
    outcomes = [(count, *measures.left(subject, count)) for count in sorted(steps)]
    count, _, (factor, level) = max(outcomes, key=lambda one: abs(math.log(max(one[2][0], 1e-9))))
    if abs(factor - 1.0) > 0.15:
        shrinks = ""
        if not kind.draws:
            got, euler, right = measures.contraction(subject, count)
            shrinks = (
                f" Gaussian data of variance ¼ shrink to {got:.3f} so; Euler over the levels it "
                f"names gives {euler:.3f}, the flow {right:.3f}."
            )
        yield Finding(
            "level",
            f"The network is told σ/α = {level.sigma / max(level.alpha, 1e-300):.3g} where the "
            f"state has {factor:.2g} times that noise ({count} steps).{shrinks} Step to the very "
            "level that the next call names.",
        )
    count, left, _ = outcomes[-1]  # the finest: on the way there some solvers round a corner
    if left > 1e-3:
        yield Finding(
            "left",
            f"Leaves noise of deviation {left:.2g} in the data ({count} steps; {GREY}). End the "
            "walk at σ = 0.",
        )


def order(subject: Subject, kind: Character) -> tuple[list[Finding], float | None, float | None]:
    """The order where every step shrinks, and on the subject's own grid."""
    if kind.draws:
        return [], None, None
    own, _ = measures.slope(subject, "own")
    refined, error = max(measures.slope(subject, spacing) for spacing in spacings(subject))
    findings = []
    if not refined >= subject.order - 0.3:
        grid = "a grid that refines everywhere" if subject.refines else "its own grid"
        findings.append(
            Finding(
                "order",
                f"Claims order {subject.order}, but on {grid} {_falling(refined)} ({error:.2g} at "
                f"{measures.COUNTS[-1]} steps): {_cause(refined)}.",
            )
        )
    elif not own >= subject.order - 0.5:
        findings.append(
            Finding(
                "own grid",
                f"On its own grid {_falling(own)}: some step there does not shrink as they grow in "
                "number, most often the last one into σ = 0.",
                grave=False,
            )
        )
    return findings, refined if subject.refines else None, own


def _cause(refined: float) -> str:
    if refined < 0.3:
        return "digits are lost to rounding, or a formula is wrong"
    return "first steps of lower order do that, or in a formula the level of a neighbouring step"


def _falling(own: float) -> str:
    if own < 0.3:
        return "its error stops falling"
    return f"its error falls only as 1/steps^{own:.2f}"


def laws(
    subject: Subject, known: Sequence[tuple[int, Law, Law]], kind: Character
) -> Iterator[Finding]:
    """Whether Gaussian data keep their mean and covariance where steps are many; one finding at the
    most. `known` are the laws measured so far, each with its steps and the plainest walk's."""
    fine = min(FINE, subject.lengths()[-1])
    many = [law for law in known if law[0] >= 20]
    for steps, got, plain in ((fine, *measures.law(subject, fine, kind)), *many):
        if finding := _unlawful(steps, got, plain, "DDPM" if kind.draws else "DDIM"):
            yield finding
            return


def _unlawful(steps: int, got: Law, plain: Law, kin: str) -> Finding | None:
    slack = 0.05 + 5.0 * got.error
    cause = "this grid does not suit it at so few steps"
    if steps >= FINE:
        cause = "the length of a step, or the noise it adds, is wrong"
    if not abs(got.spread) <= max(slack, 1.3 * abs(plain.spread)):
        side = "wide" if got.spread > 0.0 else "narrow"
        return Finding(
            "spread",
            f"Gaussian data come out {abs(got.spread):.0%} too {side} along one axis at {steps} "
            f"steps, where {kin} over the same levels is {abs(plain.spread):.0%} off: {cause}.",
        )
    if not got.mean <= max(slack, 1.3 * plain.mean):
        return Finding(
            "mean",
            f"The mean of Gaussian data comes out off by {got.mean:.2g} deviations at {steps} "
            f"steps ({kin}: {plain.mean:.2g}): the shares of x_t and x_0 in a step do not add up.",
        )
    if not abs(got.seen) <= max(2.0 * slack, 2.0 * abs(plain.seen)):
        return Finding(
            "between",
            f"On the way, at {steps} steps, the state is {abs(got.seen):.0%} off in deviation from "
            f"its law at the level told ({kin}: {abs(plain.seen):.0%}).",
        )
    return None
