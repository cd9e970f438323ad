"""What `hush evaluate` says of a run that draws: how probable data are to it, in bits."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hush.app.evaluating import Options
    from hush.data import Source
    from hush.evaluation import Estimate
    from hush.system import System
    from hush.world import World

BANDS = 8  # rows of the profile


def probable(
    options: "Options",
    system: "System",
    seen: "Source | None",
    unseen: "Source",
    world: "World",
) -> None:
    """Measure the likelihood of data under a run and print it as a table."""
    from hush.evaluation import likelihood

    method = _method(options, system)
    found = likelihood(
        system,
        unseen,
        method,
        steps=options.steps,
        start=options.start,
        draws=options.draws,
        given_class=not options.no_class,
        seed=options.seed,
        world=world,
    )
    if world.main:
        _print(options, system, method, found, seen, unseen)


def _print(
    options: "Options",
    system: "System",
    method: str,
    found: "Estimate",
    seen: "Source | None",
    unseen: "Source",
) -> None:
    from rich.console import Console
    from rich.table import Table

    from hush.evaluation import histogram

    table = Table()
    table.add_column("what", no_wrap=True)
    table.add_column("bits per dimension", justify="right", no_wrap=True)
    table.add_column("how to read it")
    part = "held-out pictures" if seen is not None else "pictures"
    told = "told their class" if system.task.classes and not options.no_class else ""
    says = {
        "bound": "an upper bound by the chain that is walked",
        "continuous": "an upper bound by a chain of infinitely many steps",
        "flow": "by the probability-flow ODE, levels made continuous: an upper bound",
    }[method]
    about = ", ".join(filter(None, (f"{found.count:,} {part}", told, says)))
    table.add_row(system.name, str(found), about)
    for row in _profile(found):
        table.add_row(*row)
    if seen is not None and unseen.levels:
        images = [part.read(range(len(part)))["image"] for part in (seen, unseen)]
        baseline = histogram(*images, unseen.levels)
        table.add_row("histogram", str(baseline), "every pixel by itself: beat it")
    Console().print(table)


def _method(options: "Options", system: "System") -> str:
    from hush.processes import GaussianProcess
    from hush.schedules import Tabulated

    if options.method != "auto":
        return options.method
    process = system.denoiser.process
    chain = isinstance(process.schedule, Tabulated) or not isinstance(process, GaussianProcess)
    return "bound" if chain else "continuous"


def _profile(found: "Estimate") -> list[tuple[str, str, str]]:
    """Where the bits go, in bands of time."""
    if not found.profile:
        return []
    rows = [("  at the end of the noise", f"{found.prior:.4f}", "what it still shows")]
    for band in range(BANDS, 0, -1):
        low, high = (band - 1) / BANDS, band / BANDS
        spent = sum(bits for time, bits in found.profile if low < time <= high)
        rows.append((f"  t from {high:g} to {low:g}", f"{spent:.4f}", ""))
    rows.append(("  at the data", f"{found.data:.4f}", "from the last state to the levels"))
    return rows
