"""`hush certify`: any way from noise to data, held against data of which everything is known."""

import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from hush.errors import UserError

if TYPE_CHECKING:
    from hush.testing import Certificate, Subject

Words = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")]
Numbers = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")]
Word = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]

MAIN = ("ddim", "ddpm", "heun", "multistep")
PLAIN = ("vp", "cosine", "edm", "rectified")


@dataclass(frozen=True)
class Options:
    """Walk exact Gaussians, a Gaussian Markov chain, a point and mixtures, and say what is wrong.

    Names take settings after a colon (multistep:order=2); a class of yours is named as
    package.module:Class or path/to/file.py:Class. Exit status 1 when something is wrong.
    """

    schedule: Words = ()
    """vp, sub_vp, ve, cosine, edm, rectified, shifted, or a chain: linear, cosine_chain, quadratic,
    sigmoid, sqrt, polynomial, absorbing."""
    sampler: Words = ()
    """ddim, ddpm, heun, multistep … as `hush sample` knows them."""
    grid: Word = None
    """chain, uniform, log_snr, karras …; by default what suits the schedule."""
    steps: Numbers = (20,)
    """Numbers of steps."""
    dimensions: Numbers = (2, 64)
    """Dimensions of the mixtures."""
    parameterisation: Words = ()
    """noise, data, v, velocity, score, edm."""
    all: bool = False
    """Every sampler on every schedule."""
    against: Word = None
    """Another library's samplers instead of hush's: diffusers."""
    only: Word = None
    """Of the other library, those whose name has this in it."""
    json: File = None
    """Also write all figures and findings to this file."""


def certify(arguments: list[str]) -> None:
    """Certify what the arguments name; the figures, then what is wrong in plain words."""
    options = tyro.cli(
        Options, args=arguments, prog="hush certify", config=(tyro.conf.FlagCreatePairsOff,)
    )
    if min(options.steps, default=0) < 1 or min(options.dimensions, default=2) < 2:
        raise UserError(
            f"--steps {_joined(options.steps)} --dimensions {_joined(options.dimensions)}: give at "
            "least one number of steps, each 1 or more, and dimensions from 2."
        )
    import torch

    from hush.app.certificates import show

    torch.set_num_threads(1)  # the states are small; this process is ours
    certificates, refused = _certificates(list(_subjects(options)), options)
    said = list(_parameterised(options))
    show(certificates, said, refused)
    if options.json:
        content = {
            "certificates": [{**asdict(one), "right": one.right} for one in certificates],
            "parameterisations": said,
            "refused": refused,
        }
        options.json.write_text(json.dumps(_plain(content), indent=1) + "\n")
    wrong = any(finding["grave"] for one in said for finding in one["findings"])
    if wrong or not all(one.right for one in certificates):
        sys.exit(1)


def _subjects(options: Options) -> "Iterator[Subject]":
    from hush.testing import Walk, peers

    if options.against is not None:
        if options.against != "diffusers":
            raise UserError(f"--against {options.against}: only diffusers is known.")
        for peer in peers.diffusers():
            if (options.only or "").lower() in peer.name.lower():
                yield peer
        return
    from hush.app.choices import GRIDS, SAMPLERS

    for where, who in product(*_named(options)):
        schedule = pick(schedules(), "schedule", where)
        grid = options.grid or _suits(schedule)
        sampler = pick(SAMPLERS, "sampler", who)
        name, place = who.rpartition("/")[2], where.rpartition("/")[2]
        yield Walk(sampler, schedule, pick(GRIDS, "grid", grid), name, f"{place}, grid {grid}")


def _named(options: Options) -> tuple[Sequence[str], Sequence[str]]:
    """The words for schedules and samplers, where not given those of the default table."""
    from hush.app.choices import SAMPLERS

    if options.all:
        return options.schedule or tuple(schedules()), options.sampler or tuple(SAMPLERS)
    return options.schedule or PLAIN, options.sampler or MAIN


def schedules() -> Mapping[str, Any]:
    """The schedules by name."""
    from hush import schedules as kinds

    chain = kinds.Tabulated
    return {
        "vp": kinds.VariancePreserving(),
        "sub_vp": kinds.SubVP(),
        "ve": kinds.VarianceExploding(),
        "cosine": kinds.Cosine(),
        "edm": kinds.EDM(),
        "rectified": kinds.Rectified(),
        "shifted": kinds.Shifted(),
        "linear": chain.linear(),
        "cosine_chain": chain.cosine(),
        "quadratic": chain(kinds.quadratic_betas()),
        "sigmoid": chain(kinds.sigmoid_betas()),
        "sqrt": chain(kinds.sqrt_betas()),
        "polynomial": chain(kinds.polynomial_betas()),
        "absorbing": chain(kinds.absorbing_betas()),
    }


def _suits(schedule: Any) -> str:
    """The grid that a schedule is walked on where none is asked for."""
    from hush.schedules import EDM, Tabulated, VarianceExploding

    if isinstance(schedule, EDM | VarianceExploding):
        return "karras"
    return "chain" if isinstance(schedule, Tabulated) else "uniform"


def pick(table: Mapping[str, Any], what: str, text: str) -> Any:
    """The value that `text` names: in the table, or as a class of the user's own."""
    from hush.app.choices import choose

    place, _, rest = text.partition(":")
    if place in table or not ("." in place or "/" in place):
        return choose(table, what, text)
    name, _, changes = rest.partition(":")
    kind = getattr(_module(place), name, None)
    if not isinstance(kind, type):
        raise UserError(f"There is no class {name!r} in {place}: name it as {place}:Class.")
    try:
        value = kind()
    except Exception as error:
        raise UserError(
            f"{text} cannot be made without arguments ({error}): give every field a default."
        ) from error
    return choose({name: value}, what, rest) if changes else value


def _module(place: str) -> Any:
    try:
        if not place.endswith(".py"):
            sys.path.insert(0, "")
            return importlib.import_module(place)
        if not Path(place).is_file():
            raise UserError(f"There is no file {place}.")
        name = f"certified_{Path(place).stem}"
        found = importlib.util.spec_from_file_location(name, place)
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module  # dataclasses look themselves up there
        found.loader.exec_module(module)
        return module
    except (ImportError, SyntaxError, NameError, TypeError) as error:
        raise UserError(f"{place} cannot be imported: {error}.") from error


def _certificates(
    subjects: "list[Subject]", options: Options
) -> "tuple[list[Certificate], list[str]]":
    """Those measured, and the words of those that refuse."""
    from rich.console import Console
    from rich.progress import track

    from hush.testing import certify as measured

    done, refused = [], []
    quiet = Console(stderr=True)
    for subject in track(
        subjects, "certifying", console=quiet, transient=True, disable=not quiet.is_terminal
    ):
        try:
            done.append(measured(subject, options.steps, options.dimensions))
        except UserError as error:
            if len(subjects) == 1:
                raise
            refused.append(f"{subject.name} on {subject.where}: {error}")
    return done, refused


def _parameterised(options: Options) -> Iterator[dict[str, Any]]:
    from hush.denoisers import parameterisations as kinds
    from hush.testing import certify_parameterisation

    if not options.parameterisation:
        return
    table = {
        "noise": kinds.Noise(),
        "data": kinds.Data(),
        "v": kinds.V(),
        "velocity": kinds.Velocity(),
        "score": kinds.Score(),
        "edm": kinds.EDM(),
    }
    for where, name in product(_named(options)[0], options.parameterisation):
        value = pick(table, "parameterisation", name)
        trip, findings = certify_parameterisation(value, pick(schedules(), "schedule", where))
        yield {
            "name": name,
            "schedule": where,
            "trip": asdict(trip) if trip else None,
            "findings": [asdict(finding) for finding in findings],
        }


def _joined(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _plain(value: Any) -> Any:
    """The value for JSON, which knows no infinity."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
