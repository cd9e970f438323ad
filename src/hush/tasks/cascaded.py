"""A cascade drawn from nothing: the first model draws small pictures, each after it larger ones."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.images import Upscale
from hush.tensors import each


def cascaded(
    chain: Sequence[System],
    count: int,
    seed: int = 0,
    level: float | Sequence[float] = 0.0,
    cond: Any = None,
    guidance: float | None = None,
    start: int = 0,
    **options: Any,
) -> Float[Tensor, "count channel height width"]:
    """`count` pictures in [0, 1]: those of a model that draws from nothing, enlarged by one stage
    after the other.

    Before a stage what it is given is noised to its `level` s, one for all stages or one for each:
    √(1-s²) z + s ε, which hides what the stage before got wrong, and a stage of `cascade` is told s
    (Ho et al. 2022, section 4.3, "non-truncated"). `cond` and `guidance` are the first model's.
    They are the samples `start`, start + 1, … of the seed, each the same however many are drawn.
    `options` go on to every `System.sample`. Raises `UserError` for stages that do not fit each
    other, and for a level that a stage does not know.
    """
    base, *stages = chain
    levels = [level] * len(stages) if isinstance(level, int | float) else list(level)
    _check(base, stages, levels)
    drawn = base.sample(count, cond, seed=seed, guidance=guidance, start=start, **options)
    for number, (stage, s) in enumerate(zip(stages, levels, strict=True), 1):
        own = derive(seed, f"stage {number}")
        rng = Streams.of(derive(own, "asked"), count, start, drawn.device)
        given = stage.task.asked(drawn, rng, s)
        # A system gives sample i the picture i mod count: so that of `start` has to lie there.
        given = each(lambda part: part.roll(start % count, 0), given)
        drawn = stage.sample(count, given, seed=own, start=start, **options)
    return drawn


def _check(base: System, stages: Sequence[System], levels: Sequence[float]) -> None:
    if len(levels) != len(stages):
        raise UserError(f"There are {len(stages)} stages, got {len(levels)} levels: give one each.")
    if stages and getattr(base.task, "asks", False):
        raise UserError(
            f"The first model of a cascade draws from nothing, got a {base.name}, which makes a "
            "picture from another: begin with a ddpm, improved_ddpm, edm, …"
        )
    shape, name = tuple(base.task.shape), base.name
    for stage in stages:
        if not isinstance(stage.task, Upscale):
            raise UserError(
                f"A stage makes pictures larger, got a {stage.name}: train a cascade or an sr3."
            )
        channels, *sides = stage.task.shape
        wanted = (channels, *(side // stage.task.factor for side in sides))
        if shape != wanted:
            sizes = ["x".join(map(str, size)) for size in (stage.task.shape, wanted, shape)]
            raise UserError(
                f"The {stage.name} makes {sizes[0]} (channel, height, width) from {sizes[1]}, but "
                f"the {name} before it draws {sizes[2]}: train it with --size and --factor to fit."
            )
        shape, name = tuple(stage.task.shape), stage.name
