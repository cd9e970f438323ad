"""Pictures described, pixel by pixel, by what a trained network makes of them inside."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.networks.features import at_pixels, features, places, telling
from hush.rng import Streams, derive
from hush.system import System

Given = Shaped[Tensor, "..."]  # by a user: what it must be is checked, and said in words
Pictures = Float[Tensor, "batch channel height width"]
Described = Float[Tensor, "batch feature height width"]


@dataclass(frozen=True)
class Look:
    """Where a network is looked into, and behind how much noise.

    times   of the process; low ones show detail, high ones what the picture is of
    names   of inner blocks (`hush.networks.features.places`), by default the most telling
    seed    of the noise, which is one for all pictures and all times
    """

    times: tuple[float, ...] = (0.05, 0.15, 0.25)
    names: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.times or not all(0.0 <= t <= 1.0 for t in self.times):
            raise UserError(f"times must be one or more numbers in [0, 1], got {self.times}.")

    def into(self, system: System) -> "Look":
        """The same with its names written out."""
        return replace(self, names=self.names or telling(system.denoiser.network))


USUAL = Look()


@torch.no_grad()
def describe(system: System, pictures: Given, look: Look = USUAL, batch: int = 64) -> Described:
    """The features of every pixel: of x_t = α x_0 + σ ε at each time, with one fixed ε, the maps of
    each named block, spread smoothly over the pixels and joined as channels.

    Since all pictures get the same noise, equal pictures have equal features, in whatever `batch`
    (to rounding). Pictures are in data units, of any size; features take 4 bytes each.
    Baranchuk, Rubachev, Voynov, Khrulkov, Babenko 2022, "Label-efficient semantic segmentation with
    diffusion models", section 3.

    Raises:
        UserError: the pictures have other channels than the system's, or a name is not known.
    """
    check(system, pictures, "pictures")
    look, device = look.into(system), device_of(system)
    system.denoiser.eval()
    parts = [_described(system, part.to(device), look) for part in pictures.split(batch)]
    return torch.cat(parts)


def check(system: System, pictures: Given, name: str) -> None:
    """Raise `UserError` unless these are pictures that the system knows to read."""
    if system.task.asks:
        raise UserError(
            f"{system.name} must be given something before it draws: look into a run that draws "
            "pictures by itself, such as one of ddpm."
        )
    channels = system.task.shape[0]
    if pictures.ndim != 4 or pictures.shape[1] != channels or not len(pictures):
        raise UserError(
            f"{name} have shape {tuple(pictures.shape)}; expected one or more pictures of "
            f"{channels} channels, (batch, {channels}, height, width), as the model was trained on."
        )


def _described(system: System, pictures: Pictures, look: Look) -> Described:
    process, network = system.denoiser.process, system.denoiser.network
    x_0, size, known = system.codec.encode(pictures), pictures.shape[2:], places(network)
    one = torch.zeros(len(pictures), dtype=torch.int64, device=pictures.device)
    rng, maps = Streams(derive(look.seed, "described"), one), []
    with features(network, look.names) as found:
        for t in look.times:
            level = process.schedule.level(t)
            system.denoiser(process.marginal(x_0, level).sample(rng), level)
            maps += [
                at_pixels(found[name].detach().float(), known[name].stride, size)
                for name in look.names
            ]
    return torch.cat(maps, 1)
