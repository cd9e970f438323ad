"""`hush plan`: the sampler and grid that suit a run best at a number of evaluations, found by
trying them, and kept in the run for `hush sample` to walk by."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from hush.samplers import Plan, Sampler
    from hush.samplers.grids import Grid

Whole = Annotated[int | None, tyro.conf.arg(metavar="INT")]
Real = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
Classes = Annotated[str | None, tyro.conf.arg(name="class", metavar="NAME")]

FILE = "plans.json"  # in the run: the newest plan of each number of evaluations, newest last
SHOWN = 8  # ways in the table


@dataclass(frozen=True)
class Options:
    """Walk a run's own probability flow finely, then by every pair of sampler and grid that asks
    the network so often only, on grids searched for this model too. The pair whose ends are
    nearest those of the fine walk is kept in the run: `hush sample RUN` walks by it from then on,
    and `hush sample RUN --evaluations N` by the plan for N."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A folder written by `hush train`."""
    evaluations: int
    """How often the network may be asked for a sample."""
    count: int = 64
    """Samples that are tried: a half to search on, a half to judge by."""
    classes: Classes = None
    """What to draw, by name or number; several between commas; by default all in turn."""
    guidance: Real = None
    """Scale of classifier-free guidance that it is to be walked with."""
    seed: int = 0
    """Of the noise that is walked from."""
    last: bool = False
    """Take the last weights instead of their average."""
    threads: Whole = None
    """Processor threads; by default all cores."""


@dataclass(frozen=True)
class Kept:
    """A plan as it lies in a run: in the words of the command line, and what it was made of."""

    evaluations: int
    sampler: str
    grid: str
    error: float
    step: int
    """Steps that the run had learnt."""
    guidance: float | None = None

    def walker(self) -> "tuple[Sampler, Grid]":
        """What it names."""
        from hush.app.choices import GRIDS, SAMPLERS, choose

        grid = choose(GRIDS, "grid", self.grid)
        return choose(SAMPLERS, "sampler", self.sampler), grid


def kept(run: Path, evaluations: int | None = None) -> Kept | None:
    """The plan of a run for so many evaluations, or the newest; None where there is none.

    Raises:
        UserError: the file is not what `hush plan` wrote.
    """
    plans = [one for one in _all(run) if evaluations in (None, one.evaluations)]
    return plans[-1] if plans else None


def plan(arguments: list[str]) -> None:
    """Find the best way to walk a run, print how the ways compare, and keep it."""
    from hush.app.choices import word
    from hush.app.inputs import begun
    from hush.samplers import default

    options = tyro.cli(
        Options, args=arguments, prog="hush plan", config=(tyro.conf.FlagCreatePairsOff,)
    )
    system = begun(options.run, options.threads, not options.last, series=True)
    if system.task.asks:
        raise UserError(
            f"{options.run} makes an answer from what it is asked, and plans are made of runs that "
            "draw: use --sampler and --steps of its verb."
        )
    cond = options.classes.split(",") if options.classes else None
    about = {"cond": cond, "seed": options.seed, "guidance": options.guidance}
    found = system.plan(options.evaluations, options.count, **about)
    _print(found, default(options.evaluations))
    best = found[0]
    words = word(best.sampler), word(best.grid)
    _keep(
        options.run,
        Kept(options.evaluations, *words, best.error, _learnt(options.run), options.guidance),
    )
    print(
        f"Kept in {options.run / FILE}: `hush sample {options.run}` walks by it. In words:\n"
        f"--sampler {words[0]} --grid {words[1]}"
    )


def _print(found: "Sequence[Plan]", usual: "tuple[Sampler, Grid]") -> None:
    """The best ways and the usual one."""
    from hush.app.choices import word
    from hush.app.judging import printed
    from hush.evaluation import Table
    from hush.samplers.grids import Given

    rows = []
    for place, one in enumerate(found, 1):
        own = (one.sampler, one.grid) == usual
        if place <= SHOWN or own:
            name, _, _ = word(one.grid).partition(":")
            grid = "searched for this run" if isinstance(one.grid, Given) else name
            rank = f"{place}*" if own else str(place)
            rows.append((word(one.sampler), grid, f"{one.error:.4f}", rank))
    printed(Table("", ("sampler", "grid", "error", "rank"), tuple(rows)))
    print(
        f"Of {len(found)} ways; * is hush's own without a plan. Error: how far the ends of walks "
        "are from\nthose of the fine walk, root mean square; data have a deviation near 1."
    )


def _all(run: Path) -> list[Kept]:
    path = run / FILE
    if not path.is_file():
        return []
    try:
        return [Kept(**entry) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not what `hush plan` writes ({error}): delete it, and plan again."
        ) from error


def _keep(run: Path, new: Kept) -> None:
    from hush.training import files

    plans = [one for one in _all(run) if one.evaluations != new.evaluations] + [new]
    text = json.dumps([asdict(one) for one in plans], indent=2) + "\n"
    files.write(run / FILE, lambda aside: aside.write_text(text))


def _learnt(run: Path) -> int:
    from hush.training.run import Run

    return max(Run(run).checkpoints(), default=0)
