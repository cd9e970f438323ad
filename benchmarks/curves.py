"""Laws of growth: sums of powers fitted to what was measured, told in tables and drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NAMES = {0: "", 1: " x", 2: " x²", -1: " / x"}
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


@dataclass(frozen=True)
class Law:
    """Σ factor · x^power."""

    factors: dict[int, float]

    def __call__(self, x: Any) -> Any:
        return sum(factor * x**power for power, factor in self.factors.items())

    def __str__(self) -> str:
        return " + ".join(f"{factor:.3g}{NAMES[power]}" for power, factor in self.factors.items())


@dataclass(frozen=True)
class Curve:
    """What was measured, and its law."""

    xs: tuple[int, ...]
    ys: list[float]
    law: Law

    def told(self, x: int) -> str:
        """What was measured at x, and the share of its law's that it is."""
        if x not in self.xs:
            return "| | "
        y = self.ys[self.xs.index(x)]
        return f"| {y:{'.3g' if y < 1000 else '.0f'}} | {y / self.law(x):.2f} "

    def bends(self) -> list[float]:
        """Where another term of the law becomes the largest."""
        x = np.geomspace(self.xs[0], self.xs[-1], 10_001)
        leads = np.argmax([factor * x**p for p, factor in self.law.factors.items()], 0)
        return x[1:][np.diff(leads) != 0].tolist()

    def __str__(self) -> str:
        bends = " and ".join(f"{x:,.0f}" for x in self.bends())
        return f"{self.law}{f', bends at x = {bends}' if bends else ''}"


Curves = dict[str, Curve]


def fitted(xs: tuple[int, ...], ys: list[float], powers: tuple[int, ...]) -> Curve:
    """The law of least squares in relative error, no factor negative; terms that do not help are
    left out."""
    from scipy.optimize import nnls

    x, powers = np.array(xs, float), (0, *powers)
    columns = np.stack([x**power / ys for power in powers], 1)
    size = columns.max(0)
    factors = nnls(columns / size, np.ones(len(x)))[0] / size
    return Curve(xs, ys, Law({p: f for p, f in zip(powers, factors.tolist(), strict=True) if f}))


def table(name: str, time: Curves, memory: Curves) -> list[str]:
    """Every point, and what share of its law's it is."""
    heads = [f"{kind}, s" for kind in time] + [f"{kind}, MB" for kind in memory]
    curves = [*time.values(), *memory.values()]
    rows = [
        f"| {name} | " + " | of its law | ".join(heads) + " | of its law |",
        "|---" * (1 + 2 * len(heads)) + "|",
    ]
    return rows + [f"| {x:,} " + "".join(c.told(x) for c in curves) + "|" for x in curves[0].xs]


def laws(time: Curves, memory: Curves) -> list[str]:
    """Every law, and where it bends."""
    sides = (("seconds", time), ("MB", memory))
    return [f"- {kind}: {unit} = {of}" for unit, curves in sides for kind, of in curves.items()]


def drawn(path: Path, name: str, time: Curves, memory: Curves, marks: dict[str, int]) -> None:
    """Points and laws, step time on the left, memory on the right, `marks` dotted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    sides = ((time, "seconds a step"), (memory, "peak memory, MB"))
    for plot, (curves, unit) in zip(axes, sides, strict=True):
        for colour, (kind, curve) in zip(COLOURS, curves.items(), strict=False):
            x = np.geomspace(curve.xs[0], curve.xs[-1], 200)
            plot.plot(x, curve.law(x) + 0 * x, "-", color=colour, linewidth=1)
            plot.plot(curve.xs, curve.ys, "o", color=colour, markersize=5, label=kind)
        for kind, x in marks.items():
            plot.axvline(x, color="grey", linestyle=":", linewidth=1)
            where = {"xy": (x, 0.02), "xycoords": ("data", "axes fraction"), "rotation": 90}
            plot.annotate(f"{kind}: one kernel", **where, ha="right", size="small", color="grey")
        first = next(iter(curves.values())).xs
        plot.set(xscale="log", yscale="log", xlabel=name, ylabel=unit)
        plot.set_xticks(first, [f"{x:,}" for x in first], size="small")
        plot.xaxis.set_minor_locator(ticker.NullLocator())
        plot.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        plot.yaxis.set_minor_locator(ticker.NullLocator())
        plot.yaxis.set_major_formatter("{x:,g}")
        plot.grid(alpha=0.3)
        plot.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
