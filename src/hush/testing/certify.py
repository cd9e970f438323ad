"""A certificate: what a way from noise to data does to data of which everything is known.

    from hush import samplers, schedules, testing
    walk = testing.Walk(samplers.Heun(), schedules.Cosine(), samplers.grids.Uniform())
    print(*testing.certify(walk).findings, sep="\\n")        # nothing: all is right

A finding is grave where something is wrong, and a note where it is only worth knowing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hush.errors import UserError
from hush.testing import measures, verdicts
from hush.testing.measures import Character, Law
from hush.testing.subjects import Subject
from hush.testing.verdicts import Finding


@dataclass(frozen=True)
class Row:
    """The figures at one number of steps. `contracts` is None for what draws noise; the distances
    are by dimension, in floors."""

    steps: int
    law: Law
    plain: Law
    contracts: tuple[float, float, float] | None
    left: float
    distances: dict[int, float]


@dataclass(frozen=True)
class Certificate:
    """All that was measured of a subject. `refined` is its order along levels that refine
    everywhere, `own` that along its own grid; both None where it draws noise."""

    name: str
    where: str
    claimed: int
    refined: float | None
    own: float | None
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.grave for finding in self.findings)


def certify(
    subject: Subject, steps: Sequence[int] = (10, 40), dimensions: Sequence[int] = (2, 64)
) -> Certificate:
    """Walk a subject over exact Gaussians, a Gaussian Markov chain, a point and mixtures.

    Raises:
        UserError: the subject refuses the steps asked for, in its own words.
    """
    troubles = {count: verdicts.trouble(subject, count) for count in {*steps, *subject.lengths()}}
    borne = [count for count in steps if not troubles[count]]
    findings, rows, refined, own = list(verdicts.said(troubles)), (), None, None
    try:
        if borne:
            kind = measures.character(subject)
            rows = tuple(_row(subject, count, kind, dimensions) for count in borne)
            found, refined, own = verdicts.order(subject, kind)
            findings += [*verdicts.start(subject, borne), *verdicts.levels(subject, borne, kind)]
            laws = [(row.steps, row.law, row.plain) for row in rows]
            findings += found
            if not any(finding.measure == "level" for finding in findings):  # or it is the cause
                findings += verdicts.laws(subject, laws, kind)
    except UserError:
        raise
    except Exception as error:  # a walk of someone else's making may fail in any way
        findings.append(Finding("finite", f"Raises {verdicts.named(error)} on exact data."))
    return Certificate(
        subject.name, subject.where, subject.order, refined, own, rows, tuple(findings)
    )


def _row(subject: Subject, steps: int, kind: Character, dimensions: Sequence[int]) -> Row:
    law, plain = measures.law(subject, steps, kind)
    contracts = None if kind.draws else measures.contraction(subject, steps)
    left, _ = measures.left(subject, steps)
    distances = {size: measures.apart(subject, steps, size, kind)[0] for size in dimensions}
    return Row(steps, law, plain, contracts, left, distances)
