"""One model for colours, holes, edges and JPEG."""

from hush.errors import UserError, nearest
from hush.networks import Backbone
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.systems.sr3 import refined
from hush.tasks.mixed import PALETTE, Mixed


@cited("Saharia et al. 2022, Palette: image-to-image diffusion models, arXiv:2111.05826")
def palette(
    shape: tuple[int, ...],
    tasks: tuple[str, ...] = ("colourise", "inpaint", "uncrop", "jpeg"),
    backbone: Backbone = Backbone(width=64, multipliers=(1, 2, 4, 8)),
    chain: int = 2000,
    beta_first: float = 2e-6,
    beta_last: float = 0.02,
    walked: int = 100,
    absolute: bool = False,
    recipe: Recipe = Recipe(steps=1_000_000, batch=1024, learning_rate=1e-4, warmup=10_000),
) -> System:
    """Palette: a picture drawn from a spoilt one, E ‖ε - ε_θ(given, √γ y_0 + √(1-γ) ε, γ)‖², where
    something is missing there alone. Of several tasks each picture gets one; none is named.

    Args:
        shape: of one picture, (channel, height, width).
        tasks: colourise, inpaint, uncrop, jpeg, denoise: one or more.
        backbone: the network.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        walked: steps of the chain that drawing takes.
        absolute: |ε - ε_θ| in place of its square: less varied answers.
        recipe: how it is trained.
    """
    for name in tasks:
        if name not in PALETTE:
            raise UserError(f"Palette knows no task {name!r}: {nearest(name, PALETTE)}")
    made = tuple(PALETTE[name](shape) for name in tasks)
    task = made[0] if len(made) == 1 else Mixed(shape, tasks=made)
    schedule = Tabulated.linear(chain, beta_first, beta_last)
    return refined(task, schedule, backbone, walked, absolute, recipe)
