"""The tables, on screen and on paper."""

import json
import platform
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from rich.table import Table

from peers.flows import Data
from peers.search import Found, Result

COLUMNS = (
    "evaluations", "best peer", "which", "best peer default", "which", "best of hush", "which",
    "hush default", "/ best peer", "hush planned", "/ best peer",
)  # fmt: skip
SHOWN = (0, 1, 2, 3, 5, 7, 8, 9, 10)  # the columns there is room for on a screen
KEPT = 2  # results of each library that the JSON file keeps, for each cell


def best(results: list[Result], place: int, of: Callable[[Result], bool]) -> Result | None:
    """The result with the smallest error on the data set at `place`."""
    return min(filter(of, results), key=lambda one: one.errors[place], default=None)


def _ours(one: Result) -> bool:
    return one.setting.library == "hush"


def rows(found: Found, place: int) -> Iterator[list[str]]:
    """A row for each number of evaluations, on one data set."""
    for evaluations, results in found.results.items():
        peer = best(results, place, lambda one: not _ours(one))
        plain = best(results, place, lambda one: not _ours(one) and one.setting.default)
        ours = best(results, place, _ours)
        default = best(results, place, lambda one: _ours(one) and one.setting.default)
        planned = best(results, place, lambda one: one.setting.method == "planned")
        cells = [str(evaluations)]
        for one in (peer, plain, ours):
            cells += [f"{one.errors[place]:.2e}", str(one.setting)] if one else ["", ""]
        for one in (default, planned):
            share = one.errors[place] / peer.errors[place] if one else 0.0
            cells += [f"{one.errors[place]:.2e}", f"{share:.2f}"] if one else ["", ""]
        yield cells


def tables(problem: str, found: Found, data: tuple[Data, ...]) -> Iterator[Table]:
    """One table for each data set."""
    for place, one in enumerate(data):
        table = Table(*[COLUMNS[i] for i in SHOWN], title=f"{problem}, {one.name}")
        for row in rows(found, place):
            table.add_row(*[row[i] for i in SHOWN])
        yield table


def write(folder: Path, found: dict[str, Found], data: tuple[Data, ...], minutes: float) -> None:
    """samplers.json and samplers.md."""
    folder.mkdir(parents=True, exist_ok=True)
    about = _about(minutes)
    record = {"about": about, "data": [one.name for one in data], "problems": {}}
    for problem, one in found.items():
        record["problems"][problem] = {"results": _kept(one, len(data)), "failures": _failed(one)}
    (folder / "samplers.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (folder / "samplers.md").write_text("\n".join(_page(found, data, about)) + "\n")


def _kept(found: Found, places: int) -> dict[str, list]:
    """The best of each library on each data set, and every default."""
    out = {}
    for evaluations, results in found.results.items():
        kept = {id(one): one for one in results if one.setting.default}
        for library in {one.setting.library for one in results}:
            its = [one for one in results if one.setting.library == library]
            for place in range(places):
                first = sorted(its, key=lambda one: one.errors[place])[:KEPT]
                kept.update((id(one), one) for one in first)
        out[str(evaluations)] = [
            {"setting": str(one.setting), "default": one.setting.default, "spent": one.spent,
             "errors": [float(f"{error:.4g}") for error in one.errors]}
            for one in kept.values()
        ]  # fmt: skip
    return out


def _failed(found: Found) -> list[dict]:
    return [
        {"library": library, "method": method, "says": says, "count": len(where), "as": where[:5]}
        for (library, method, says), where in found.failures.items()
    ]


def _about(minutes: float) -> dict[str, str]:
    packages = ("torch", "diffusers", "k-diffusion", "azula")
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True)
    return {name: version(name) for name in packages} | {
        "hush": f"{version('hush')} at {commit.stdout.strip()}",
        "python": platform.python_version(),
        "machine": f"{_processor()}, {torch.get_num_threads()} thread",
        "date": date.today().isoformat(),
        "minutes": f"{minutes:.1f}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _page(found: dict[str, Found], data: tuple[Data, ...], about: dict[str, str]) -> Iterator[str]:
    yield "# Samplers: error per denoiser evaluation\n"
    yield "`python benchmarks/samplers.py`; " + ", ".join(f"{k} {v}" for k, v in about.items())
    yield (
        "\nMean distance from the ends of the exact probability flow, over √(D/2). "
        "*Best peer*: the best of all deterministic settings of diffusers, k-diffusion and azula "
        "for that very cell; *hush default*: what `hush.samplers.default(evaluations)` gives, "
        "the same for all problems and data; *hush planned*: what `hush.samplers.plan` finds for "
        "the data at hand from 128 other starting points, up to 20 evaluations."
    )
    for problem, one in found.items():
        for place, its in enumerate(data):
            yield f"\n## {problem}, {its.name}\n"
            yield "| " + " | ".join(COLUMNS) + " |"
            yield "|" + "---|" * len(COLUMNS)
            for row in rows(one, place):
                yield "| " + " | ".join(row) + " |"
    yield "\n## Peers' failures on legal settings\n"
    for problem, one in found.items():
        for failed in _failed(one):
            yield (
                f"- {problem}: {failed['library']} {failed['method']}: {failed['says']} "
                f"({failed['count']} times, as {failed['as'][0]})"
            )
