"""Fine-tuning: the whole U-Net of a system, taught to say what every pixel shows."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hush.denoisers import GaussianDenoiser
from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.networks import UNet
from hush.networks.layers import convolution
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.features import Given, Look, Pictures, check
from hush.tasks.reader import UNKNOWN, Reader, check_masks, labelled, made, teach
from hush.tasks.segment import Labels, Votes


class Labeller(nn.Module):
    """x_0 and a clock to the logits of every pixel, by a copy of a U-Net whose last layer is new
    and says classes."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        if not isinstance(network, UNet):
            kind = type(network).__name__
            raise UserError(f"Fine-tuning wants a system whose network is a U-Net, got a {kind}.")
        self.sizes = {"classes": classes}
        self.body = copy.deepcopy(network).requires_grad_(True)
        self.body.head = convolution(2, network.head.in_channels, classes)
        self.body.shortcut = None

    def forward(self, x_0: Pictures, clock: float) -> Votes:
        return self.body(x_0, x_0.new_full((len(x_0),), clock))


@dataclass(frozen=True)
class FineTuned(Reader):
    """`labeller(pictures)` gives a class to every pixel, and its probability: how sure that is."""

    kind = "fine_tuned"

    @staticmethod
    def blank(system: System, sizes: dict[str, int]) -> nn.Module:
        return Labeller(system.denoiser.network, **sizes)

    @torch.no_grad()
    def __call__(
        self, pictures: Given, batch: int = 64
    ) -> tuple[Labels, Float[Tensor, "batch height width"]]:
        """(labels, probability), both (batch, height, width)."""
        check(self.system, pictures, "pictures")
        clock, device = clock_at(self.system, self.look.times[0]), device_of(self.system)
        parts = [
            self.head(self.system.codec.encode(part.to(device)), clock).softmax(1).max(1)
            for part in pictures.split(batch)
        ]
        return torch.cat([p.indices for p in parts]), torch.cat([p.values for p in parts])


def fine_tune(
    system: System,
    pictures: Given,
    masks: Given,
    classes: Sequence[str],
    time: float = 1.0,
    steps: int = 200,
    seed: int = 0,
    batch: int = 16,
    learning_rate: float = 1e-3,
) -> FineTuned:
    """The U-Net of a system, all of it taught on, until it says the classes of these pictures'
    pixels. `masks` name them by their place in `classes`, -1 where nobody knows.

    It is shown the pictures without noise, and told it is the `time`. The system stays as it is.
    Brempong et al. 2022, "Denoising pretraining for semantic segmentation", arXiv:2205.11423.

    Raises:
        UserError: pictures, masks and classes do not fit each other or the system, or its network
            is no U-Net.
    """
    check(system, pictures, "pictures")
    check_masks("masks", masks, pictures, len(classes))
    clock, device = clock_at(system, time), device_of(system)
    x_0, truth = labelled(system.codec.encode(pictures.to(device)), masks)
    head = made(lambda: Labeller(system.denoiser.network, len(classes)), seed).to(device)
    size = min(batch, len(x_0))

    def loss(rng: Streams) -> Tensor:
        chosen = rng.uniform((len(x_0),))[0].argsort()[:size]
        logits = head(x_0[chosen], clock)
        return functional.cross_entropy(logits, truth[chosen], ignore_index=UNKNOWN)

    rng = Streams.of(derive(seed, "fine-tuning"), 1, device=device)
    taught = teach(head, loss, rng, steps, learning_rate)
    return FineTuned(system, taught, tuple(classes), Look((time,)))


def clock_at(system: System, time: float) -> float:
    """What the network of a system is told of a time."""
    denoiser = system.denoiser
    if not isinstance(denoiser, GaussianDenoiser):
        raise UserError(f"{system.name} denoises no numbers: fine-tune a system that does.")
    schedule = denoiser.process.schedule
    return float(denoiser.parameterisation.clock(schedule, schedule.level(time)))
