"""What the numbers of a report mean, in plain sentences."""

from typing import Literal, NamedTuple

from hush.evaluation.beliefs import Believed
from hush.evaluation.bits import Bits
from hush.evaluation.held_out import Losses
from hush.evaluation.judgement import Judgement
from hush.evaluation.memorisation import Memorisation
from hush.evaluation.yardstick import Yardsticks, verdict

State = Literal["good", "fair", "poor"]

SURE = 3.0  # standard errors
NEAR = 2.0  # floors that are not far
SLIGHT = 0.01  # of a belief's error: nobody would see it
LITTLE = 0.05  # of the bits, or of a belief's error: more changes what the model is worth
KEPT = 0.8  # of a perfect model's recall and coverage: less is much that is left out


class Verdict(NamedTuple):
    """A question about a model, how the answer stands, and the answer in a sentence."""

    question: str
    state: State
    says: str


def learning(losses: Losses, than: Yardsticks | None) -> Verdict | None:
    """Whether it does better than what knows no network; None where there is no such thing."""
    if than is None:
        return None
    told = verdict(losses, than)
    if told:
        return Verdict("Has it learnt?", "poor", told)
    ours, theirs = losses.means(), than.gaussian.means()
    better = sum(ours[time] < theirs[time] for time in ours)
    says = (
        f"At {better} of {len(ours)} noise levels it tells held-out records better than "
        f"{than.simple}, which needs no network, and at no level measurably worse."
    )
    return Verdict("Has it learnt?", "good", says)


def likeness(judged: Judgement) -> Verdict:
    """Whether samples are like data."""
    low, high = judged.interval
    far = f"{judged.ratio:.2f} floors from held-out records ({low:.2f} to {high:.2f})"
    gaussian = judged.gaussian / judged.floor if judged.floor else float("inf")
    beside = f"a Gaussian fitted to the data is at {gaussian:.1f}"
    if low <= 1.0:
        state, says = "good", f"As like as training records are: {far}; {beside}."
    elif judged.ratio <= NEAR:
        state, says = "fair", f"Near, but not as near as training records: {far}; {beside}."
    else:
        state, says = "poor", f"No: {far}; {beside}."
    return Verdict("Are the samples like data?", state, says)


def variety(judged: Judgement) -> Verdict:
    """Whether samples are as varied as data."""
    pair = judged.recall, judged.coverage
    short = [one for one in pair if one.interval[1] < one.floor]
    says = (
        f"{100 * judged.recall.value:.0f} % of held-out records lie among the samples (of training "
        f"records {100 * judged.recall.floor:.0f} %), {100 * judged.coverage.value:.0f} % have one "
        f"nearby (ideal {100 * judged.coverage.floor:.0f} %)."
    )
    if not short:
        return Verdict("Are they varied?", "good", f"As varied as data: {says}")
    poor = any(one.value < KEPT * one.floor for one in short)
    lead = "Much is left out: " if poor else "A little less than data: "
    return Verdict("Are they varied?", "poor" if poor else "fair", lead + says)


def copying(found: Memorisation) -> Verdict:
    """Whether samples are training records again."""
    state = "poor" if found.much else "fair" if found.found else "good"
    return Verdict("Does it copy?", state, str(found))


def generalising(bits: Bits) -> Verdict | None:
    """Whether records it has not seen cost as much as those it has; None where nobody knows."""
    if bits.gap is None:
        return None
    gap, error = bits.gap
    says = (
        f"held-out records cost {bits.held_out} bits per dimension, training records {bits.train}: "
        f"a gap of {gap:.4f} ± {error:.4f}."
    )
    if not gap > SURE * error:
        return Verdict("Does it generalise?", "good", f"Yes: {says}")
    if gap > LITTLE * abs(bits.train.bits):
        return Verdict(
            "Does it generalise?", "poor", f"It knows its training records by heart: {says}"
        )
    return Verdict("Does it generalise?", "fair", f"Nearly: {says}")


def calibration(beliefs: tuple[Believed, ...]) -> Verdict | None:
    """Whether it believes what is so; None where nothing was measured."""
    off = [one for one in beliefs if abs(one.slope[0] - 1.0) > SURE * one.slope[1]]
    worst = max(beliefs, key=lambda one: one.gain, default=None)
    if worst is None:
        return None
    about = f"{worst.slope[0]:.3f} ± {worst.slope[1]:.3f} at t = {worst.time:.2g}, {gained(worst)}"
    if worst.gain < SLIGHT or not off:
        says = (
            f"Yes: the truth against its belief has the slope 1 at all {len(beliefs)} noise levels"
        )
        return Verdict("Is it calibrated?", "good", f"{says}, or all but; at worst {about}.")
    says = (
        f"At {len(off)} of {len(beliefs)} noise levels the truth against its belief has not the "
        f"slope 1; the worst is {about}."
    )
    counts = any(one.gain > LITTLE for one in off)
    return Verdict("Is it calibrated?", "poor" if counts else "fair", says)


def gained(one: Believed) -> str:
    """What the slope costs, in words."""
    return f"which makes {100.0 * one.gain:.1f} % of its error"
