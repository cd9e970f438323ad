"""The series of `series.py`, the exact posterior of those whose law is known, and the page."""

from typing import Any

import numpy as np
from torch import Tensor

from hush.data import Windows
from hush.data import series as windows
from hush.data.known_series import KNOWN
from hush.evaluation import gaussian_process
from hush.networks.series import TIME
from hush.tasks.judged.series import COLUMNS, Hidden, SeriesRow

LONG = 12_000  # stamps of what is made
SCALE = 6.0  # stamps, of the Matérn kernel of `process`
FREQUENCIES = (1 / 7.3, 1 / 17.9, 1 / 45.1)  # of `waves`, in turns a stamp


def elnino() -> Windows:
    """36 months each."""
    return windows("elnino", length=36)


def co2() -> Windows:
    """52 weeks each, less the mean of the two years that ended a year before: the level rises ever
    faster, and what is held out would lie beyond all that was learnt."""
    table = KNOWN["co2"]()
    column = next(name for name in table.columns if name != "time")
    before = table[column].rolling(104, min_periods=52).mean().shift(52)
    return windows(table.assign(**{column: table[column] - before}).iloc[156:], length=52)


def sunspots() -> Windows:
    """44 years each."""
    return windows("sunspots", length=44)


def stocks() -> Windows:
    """24 months each of ten prices' changes."""
    return windows(_stocks(), length=24)


def economy() -> Windows:
    """16 quarters each of twelve figures' changes."""
    return windows(_economy(), length=16)


def stocks_ahead() -> Windows:
    """24 months and the 6 to be told."""
    return windows(_stocks(), context=24, horizon=6)


def economy_ahead() -> Windows:
    """16 quarters and the 4 to be told."""
    return windows(_economy(), context=16, horizon=4)


def process() -> Windows:
    """48 stamps each of a Gaussian process with a Matérn kernel (ν = 3/2), drawn exactly as the
    state space that it is."""
    random, step = np.random.default_rng(1), 3.0**0.5 / SCALE
    move = np.exp(-step) * np.array([[1 + step, 1.0], [-(step**2), 1 - step]])
    still = np.diag([1.0, step**2])  # of the value and of its slope per stamp
    root = np.linalg.cholesky(still - move @ still @ move.T)
    state, values = np.linalg.cholesky(still) @ random.normal(size=2), []
    for noise in random.normal(size=(LONG, 2)):
        state = move @ state + root @ noise
        values.append(state[0])
    return windows(_counted(value=np.array(values)), length=48)


def waves() -> Windows:
    """64 stamps each of three sines whose amplitudes wander, with a little noise."""
    random, time = np.random.default_rng(2), np.arange(LONG)
    total = 0.1 * random.normal(size=LONG)
    for frequency in FREQUENCIES:
        steps = random.normal(size=(2, LONG)) * 0.03
        parts = np.zeros((2, LONG))
        for n in range(1, LONG):
            parts[:, n] = 0.9995 * parts[:, n - 1] + steps[:, n]
        angle = 2 * np.pi * frequency * time
        total = total + parts[0] * np.cos(angle) + parts[1] * np.sin(angle)
    return windows(_counted(value=total), length=64)


def posterior(hidden: Hidden, samples: int, seed: int = 1) -> Tensor:
    """Draws of the exact posterior of `process`, in standard units."""
    from sklearn.gaussian_process.kernels import Matern

    units = hidden.units
    seen = hidden.seen * units.deviation + units.mean
    told = gaussian_process(seen, hidden.record[TIME], Matern(SCALE, nu=1.5), None, samples, seed)
    return units.standard(told)


def kept(row: SeriesRow) -> dict[str, Any]:
    """What of a row the claims are made of."""
    covered = None if row.coverage is None else row.coverage.value
    total = None if row.crps_sum is None else row.crps_sum.value
    return {
        "hidden": row.hidden,
        "who": row.who,
        "crps": row.crps.value,
        "sum": total,
        "covered": covered,
    }


def page(head: str, found: dict[str, Any]) -> list[str]:
    """A table for each case, and what was to be shown."""
    lines = [head, ""]
    for name, one in found.items():
        spent = ", ".join(
            f"{who} {one['steps'][who]:,} steps in {minutes:.1f} minutes"
            for who, minutes in one["minutes"].items()
        )
        lines += [f"**{name}**: {spent}", "", f"| {' | '.join(COLUMNS)} |"]
        lines += ["|---" * len(COLUMNS) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in one["rows"]]
        lines += [""]
    claims = [claim for name, one in found.items() for claim in _claims(name, one)]
    return [*lines, "What was to be shown:", "", *claims]


def _claims(name: str, found: dict[str, Any]) -> list[str]:
    claims = []
    for hidden in dict.fromkeys(score["hidden"] for score in found["scores"]):
        rows = {row["who"]: row for row in found["scores"] if row["hidden"] == hidden}
        for who in found["minutes"]:
            claims += _of(f"{name}, {hidden}, {who}", rows[who], rows)
    return claims


def _of(about: str, own: dict[str, Any], rows: dict[str, Any]) -> list[str]:
    """What one run was to show beside the others who told the same."""
    score = "sum" if own["who"] == "timegrad" else "crps"
    claims = []
    for other in ("last value", "linear", "seasonal naive", "VAR"):
        if other in rows and (other != "seasonal naive" or score == "sum"):
            claims.append(_share(about, own[score] / rows[other][score], other, 1.0))
    if "exact posterior" in rows:
        claims.append(_share(about, own[score] / rows["exact posterior"][score], "the exact", 1.1))
    if "Gaussian process" in rows:
        share = own[score] / rows["Gaussian process"][score]
        gates = ["elnino, 90 %", "stocks", "economy", *["waves"] * (own["who"] == "sssd")]
        gated = any(case in about for case in gates)
        claims.append(_share(about, share, "a fitted Gaussian process's", 1.0, gated))
    if own["who"] == "sssd" and "waves" in about:
        claims.append(_share(about, own[score] / rows["csdi"][score], "csdi", 1.0))
    sure = f"- {about}: {100 * own['covered']:.0f} % in the 90 % interval, 85 to 95 asked"
    return [*claims, sure + _so(0.85 <= own["covered"] <= 0.95)]


def _share(about: str, share: float, other: str, most: float, gated: bool = True) -> str:
    said = f"- {about}: {share:.2f} of the score of {other}"
    return said + (f", at most {most:g}" + _so(share <= most) if gated else " (not asked)")


def _so(so: bool) -> str:
    return ": met" if so else ": **not met**"


def _stocks() -> Any:
    """Changes of the logarithm of the first price of each month."""
    import pandas

    table = pandas.read_csv(KNOWN["stocks"](), comment="#", parse_dates=["Date"])
    monthly = table.set_index("Date").resample("MS").first().interpolate(limit=1)
    return np.log(monthly).diff().iloc[1:].reset_index(names="time")


def _economy() -> Any:
    table = KNOWN["macrodata"]().set_index("time")
    rates = ["unemp", "infl", "realint", "tbilrate"]
    changes = table.apply(lambda column: column if column.name in rates else np.log(column)).diff()
    return changes.iloc[1:].reset_index()


def _counted(**columns: Any) -> Any:
    import pandas

    return pandas.DataFrame({"time": np.arange(LONG), **columns})
