"""System: the record of slots that makes a method of the literature."""

import functools
import inspect
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, ParamSpec

import torch
from torch import Tensor

from hush.codecs import Codec
from hush.data.preview import listed
from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.guidance import ClassifierFree, Guidance
from hush.networks import Precision, lowered
from hush.objectives import Objective
from hush.recipe import Recipe
from hush.rng import Streams, derive
from hush.samplers import Plan, Sampler, State, plan, walk
from hush.samplers.grids import Grid
from hush.tensors import Condition, each

P = ParamSpec("P")

LARGEST = 10**6  # a number among the settings of a stored run


@dataclass(frozen=True, repr=False)
class System:
    """A method: what is modelled, how it is trained, how it is walked.

    codec          data units to x_0
    denoiser       process, network and parameterisation
    objective      what training makes small
    sampler, grid  how samples are drawn unless the user says otherwise
    task           records to (x_0, cond, mask), requests to (shape, cond)
    recipe         its training defaults
    threshold      how beliefs are kept in range while sampling, if at all
    first          what a part of it is taught before training, (system, data, seed) -> system
    name, cite     what it is called, and the paper
    arguments      what its function was called with, the recipe apart: enough to make it again
    """

    codec: Codec
    denoiser: Denoiser
    objective: Objective
    sampler: Sampler
    grid: Grid
    task: Any
    recipe: Recipe
    threshold: Guidance | None = None
    first: Callable[["System", Any, int], "System"] | None = None
    name: str = ""
    cite: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def slots(self) -> dict[str, Any]:
        """What it is made of, by the names of the slots; the denoiser as its parts."""
        denoiser = self.denoiser
        weights = sum(part.numel() for part in denoiser.parameters())
        network = getattr(denoiser, "network", None)
        parts = {
            "process": denoiser.process,
            "network": f"{type(network or denoiser).__name__}, {weights / 1e6:.2f} M weights",
            "parameterisation": getattr(denoiser, "parameterisation", None),
        }
        rest = ("codec", "objective", "sampler", "grid", "threshold", "task")
        told = parts | {name: getattr(self, name) for name in rest}
        return {name: value for name, value in told.items() if value is not None}

    def __repr__(self) -> str:
        rows = [f"  {name:18}{value}" for name, value in self.slots().items()]
        return "\n".join([f"{self.name or 'system'} ({self.cite or 'no paper'})", *rows])

    def _repr_html_(self) -> str:
        return listed(f"{self.name or 'system'} ({self.cite or 'no paper'})", self.slots().items())

    @torch.no_grad()
    def sample(
        self,
        count: int,
        cond: Any = None,
        sampler: Sampler | None = None,
        grid: Grid | int | None = None,
        seed: int | None = None,
        guidance: Guidance | float | None = None,
        batch: int = 256,
        start: int = 0,
        precision: Precision = "no",
    ) -> Tensor:
        """`count` new samples in data units: pictures (count, channel, height, width) in [0, 1].

        They are the samples `start`, start + 1, … of the seed: each is the same however many are
        drawn and in whatever `batch` (to rounding). `grid` may be a number of steps, `guidance` a
        scale; without a seed one is drawn. In a `precision` of "bf16" the network computes faster
        where the machine can, and the samples are a little others.
        """
        seed = random.getrandbits(63) if seed is None else seed
        parts = []
        for first in range(start, start + count, batch):
            size = min(batch, start + count - first)
            *_, last = self.walk(size, cond, sampler, grid, seed, guidance, first, precision)
            parts.append(self.codec.decode(last.x, self.request(size, cond, first)[1]))
        return torch.cat(parts)

    def walk(
        self,
        count: int,
        cond: Any = None,
        sampler: Sampler | None = None,
        grid: Grid | int | None = None,
        seed: int | Streams = 0,
        guidance: Guidance | float | None = None,
        start: int = 0,
        precision: Precision = "no",
    ) -> Iterator[State]:
        """The states of a walk for samples start … start + count - 1, from noise to x_0; the
        arguments of `sample`. `seed` may be the streams of the samples themselves."""
        denoiser, x, rng, cond = self._begin(count, cond, seed, guidance, start)
        if grid is None or isinstance(grid, int):
            grid = self.grid if grid is None else replace(self.grid, steps=grid)
        levels = grid(denoiser.process.schedule)
        states = walk(sampler or self.sampler, denoiser, x, levels, rng, cond)
        network = self.denoiser.network
        while True:  # around each step: what the caller has set holds in between
            with torch.no_grad(), lowered(network, precision, rng.index.device):
                state = next(states, None)
            if state is None:
                return
            yield state

    @torch.no_grad()
    def plan(
        self,
        evaluations: int,
        count: int = 64,
        cond: Any = None,
        seed: int = 0,
        guidance: Guidance | float | None = None,
    ) -> list[Plan]:
        """The samplers and grids that follow this model's own flow best at a number of evaluations,
        the best first, tried on `count` samples (see `hush.samplers.plan`): give its sampler and
        grid to `sample`."""
        denoiser, x, _, cond = self._begin(count, cond, seed, guidance)
        return plan(denoiser, x, evaluations, cond)

    def learnt(
        self, record: dict[str, Tensor], rng: Streams
    ) -> tuple[Any, Condition | None, Tensor | None]:
        """(x_0, condition as the network is told it, mask of what counts) of a batch of records,
        the draws of each from its own stream."""
        data, cond, mask = self.task.example(record, rng)
        return self.codec.encode(data, cond), self.codec.told(cond), mask

    def request(
        self, count: int, cond: Any = None, start: int = 0
    ) -> tuple[tuple[int, ...], Condition | None]:
        """(shape, condition in data units) of the samples start … start + count - 1 of what is
        asked for, where the model computes."""
        device = next(self.denoiser.parameters()).device
        shape, cond = self.task.request(start + count, cond)
        return (count, *shape[1:]), each(lambda part: part[start:].to(device), cond)

    def _begin(
        self,
        count: int,
        cond: Any,
        seed: int | Streams,
        guidance: Guidance | float | None,
        start: int = 0,
    ) -> tuple[Denoiser, Tensor, Streams, Condition | None]:
        """The denoiser as it is to be walked, noise at t = 1, the streams left, the condition as
        the network is told it."""
        device = next(self.denoiser.parameters()).device
        shape, cond = self.request(count, cond, start)
        shape = (count, *self.codec.event(shape[1:]))
        if isinstance(guidance, int | float):
            guidance = ClassifierFree(float(guidance))
        rng = seed
        if not isinstance(seed, Streams):
            rng = Streams.of(derive(seed, "samples"), count, start, device)
        denoiser = self.denoiser.begun(rng.branch("denoiser"))
        denoiser = guidance(denoiser) if guidance else denoiser
        denoiser = self.threshold(denoiser) if self.threshold else denoiser
        empty = torch.empty(0, device=device)
        x = denoiser.process.prior(shape, empty).sample(rng)
        return denoiser.eval(), x, rng.next(), self.codec.told(cond)


def cited(cite: str) -> Callable[[Callable[P, System]], Callable[P, System]]:
    """Give a system's function its paper, and make what it returns remember the name and the
    arguments it was called with, so that a run can store them and be made again from them."""

    def wrap(function: Callable[P, System]) -> Callable[P, System]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def build(*args: P.args, **kwargs: P.kwargs) -> System:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            made = function(*bound.args, **bound.kwargs)
            arguments = {k: v for k, v in bound.arguments.items() if k != "recipe"}
            return replace(made, name=function.__name__, cite=cite, arguments=arguments)

        return build

    return wrap


def rebuilt(function: Callable[..., System], arguments: dict[str, Any]) -> System:
    """The system that `function` makes from arguments as JSON gives them back: lists become tuples,
    and a dictionary the dataclass that the parameter's default is an instance of. Raises
    `UserError` for whatever the function cannot take: the arguments may be anybody's."""
    known = inspect.signature(function).parameters
    if unknown := set(arguments) - set(known):
        raise UserError(
            f"The run has settings that {function.__name__} of this version of hush does not know: "
            f"{', '.join(sorted(unknown))}. Use the version in its system.json."
        )

    def value(given: Any, default: Any = None) -> Any:
        if isinstance(given, dict) and is_dataclass(default):
            return replace(default, **{key: value(item) for key, item in given.items()})
        if isinstance(given, int | float) and not abs(given) <= LARGEST:
            raise UserError(f"{given:.3g} is beyond {LARGEST:,}")
        return tuple(value(item) for item in given) if isinstance(given, list) else given

    def argument(key: str) -> Any:
        made = value(arguments[key], known[key].default)
        whole = known[key].annotation == tuple[int, ...]
        if whole and not (isinstance(made, tuple) and all(type(item) is int for item in made)):
            raise UserError(f"{key} must be whole numbers, got {arguments[key]}")
        return made

    try:
        return function(**{key: argument(key) for key in arguments})
    except Exception as error:
        said = str(error).rstrip(".")
        raise UserError(f"The run's settings do not make a {function.__name__}: {said}.") from error
