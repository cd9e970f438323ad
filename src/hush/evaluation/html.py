"""A report as a page: one file, with its pictures and curves in it, and no script."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hush.data.pictures import address, png
from hush.evaluation.charts import Series, bars, lines
from hush.evaluation.manifolds import NAMES

if TYPE_CHECKING:
    from hush.evaluation.calibration import Calibration
    from hush.evaluation.comparison import Comparison
    from hush.evaluation.page import About
    from hush.evaluation.report import Report


def page(report: "Report") -> str:
    """The page of a report."""
    return _rendered(
        "report.html",
        report.about,
        report=report,
        scales=_scales(report),
        figures=_figures(report),
    )


def compared(comparison: "Comparison") -> str:
    """The page of a comparison; rows of the run itself stand out."""
    name = comparison.about.name
    tables = [
        (table, [(any(cell.split(",")[0] == name for cell in row), row) for row in table.rows])
        for table in (one.filled() for one in comparison.tables)
    ]
    curves = {says: _calibration(one) for says, one in comparison.calibration.items()}
    told = {"comparison": comparison, "tables": tables, "calibration": curves}
    return _rendered("comparison.html", comparison.about, **told)


def _rendered(template: str, about: "About", **told: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["uri"] = lambda picture: address(png(picture))
    pages.filters["setting"] = _setting
    return pages.get_template(template).render(about=about, **told)


def _setting(value: Any) -> str:
    """A setting as one would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_setting(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_setting, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(report: "Report") -> dict[str, tuple[str, Markup, tuple[str, ...]]]:
    """(what it shows, the chart, names of its curves) by section."""
    found = {}
    if report.about.curves:
        found["curves"] = _curves(report)
    if report.losses and report.yardsticks:
        found["losses"] = _losses(report)
    if report.bits and report.bits.profile():
        found["bits"] = _bits(report)
    if report.beliefs:
        found["beliefs"] = _beliefs(report)
    return found


def _curves(report: "Report") -> tuple[str, Markup, tuple[str, ...]]:
    curves = [Series(name, points, marks=False) for name, points in report.about.curves.items()]
    says = "The loss of training, and of records held out (averaged weights)."
    log = min(loss for one in curves for _, loss in one.points) > 0.0
    return says, lines(curves, "step", "loss", log), tuple(one.name for one in curves)


def _losses(report: "Report") -> tuple[str, Markup, tuple[str, ...]]:
    than = report.yardsticks
    named = {"the model": report.losses, than.simple: than.gaussian, than.average: than.constant}
    curves = [Series(name, list(one.means().items())) for name, one in named.items()]
    log = min(loss for one in curves for _, loss in one.points) > 0.0
    says = "The loss on held-out records by noise level, beside what needs no network."
    return says, lines(curves, "time t (1 is noise)", "loss", log), tuple(named)


def _bits(report: "Report") -> tuple[str, Markup, tuple[str, ...]]:
    rows = [(name.split(" to ")[-1], bits) for name, bits, _ in report.bits.profile()]
    says = "Where the bits go, from the noise (left) down to the data."
    return says, bars(rows, f"down to {report.bits.unit}", "bits per dimension"), ()


def _beliefs(report: "Report") -> tuple[str, Markup, tuple[str, ...]]:
    def curve(name: str, what: str) -> Series:
        rows = [(one.time, *getattr(one, what)) for one in report.beliefs]
        return Series(name, [row[:2] for row in rows], [row[2] for row in rows])

    curves = [curve("slope of the truth against the belief", "slope")]
    if all(one.spread for one in report.beliefs):
        curves.append(curve("squared error over the variance told", "spread"))
    says = "Whether what the model believes of a noised record is so: 1 is. Bars are of 95 %."
    drawn = lines(curves, "time t (1 is noise)", "ratio", level=1.0)
    return says, drawn, tuple(one.name for one in curves)


def _calibration(one: "Calibration") -> Markup:
    """The curve, beside what calibrated laws show."""
    errors = [(high - low) / 2 / 1.96 for low, high in one.intervals]
    own = Series("told", list(zip(one.levels, one.shares, strict=True)), errors)
    ideal = Series("calibrated", [(0.0, 0.0), (1.0, 1.0)], marks=False)
    return lines([own, ideal], "level of the quantile", "share of the truth below it")


def _scales(report: "Report") -> list[dict[str, Any]]:
    """The four numbers of manifolds on a scale from 0 to 1 (or as far as they go), in percent."""
    if report.judgement is None:
        return []
    found = []
    for name in NAMES:
        one = getattr(report.judgement, name)
        top = max(1.0, one.interval[1], one.floor)
        low, high, value, ideal = (100.0 * v / top for v in (*one.interval, one.value, one.floor))
        found.append(
            {"name": name, "one": one, "low": low, "high": high, "value": value, "ideal": ideal}
        )
    return found
