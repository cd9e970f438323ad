"""The way down of a U-Net, taught to tell classes before anything else is learnt."""

import copy
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from hush.data import Source, batches
from hush.errors import UserError
from hush.networks.features import features
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.fine_tune import clock_at
from hush.tasks.reader import made, teach
from hush.world import World

ENCODER = ("embedding", "stem", "down", "middle")  # of a U-Net; the rest is the decoder


@dataclass(frozen=True)
class Recognition:
    """`recognise` for so many steps, as a system's `first`."""

    steps: int

    def __call__(self, system: System, source: Source, seed: int) -> System:
        return recognise(system, source, self.steps, seed=derive(seed, "recognise"))


def recognise(
    system: System,
    source: Source,
    steps: int = 1000,
    batch: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> System:
    """The system with the way down of its U-Net taught to tell the classes of a source, by the mean
    over the last map before the way up, one linear layer and the cross-entropy, at t = 1, the one
    noise level of `ddep`. Raises `UserError` for a source without classes.
    """
    if len(source.classes) < 2:
        raise UserError(f"{source.name} has no classes for the encoder to learn to tell apart.")
    system = copy.deepcopy(system)
    network, codec = system.denoiser.network, system.codec
    codec.fit((source.read(range(min(len(source), 4096)))["image"],), source.levels)
    deepest = network.middle[-1].residual.conv_out.out_channels
    encoder = nn.ModuleDict({part: getattr(network, part) for part in ENCODER})
    head = made(lambda: nn.Linear(deepest, len(source.classes)), seed)
    both = nn.ModuleList((encoder.requires_grad_(True), head))
    clock, device = clock_at(system, 1.0), World().device
    for part in (system.denoiser, codec, head):
        part.to(device)
    last = f"middle.{len(network.middle) - 1}"
    with closing(batches(source, batch, seed)) as stream, features(network, [last]) as found:

        def loss(rng: Streams) -> Tensor:
            record = {key: value.to(device) for key, value in next(stream).items()}
            x_0 = codec.encode(record["image"])
            network(x_0, x_0.new_full((batch,), clock))
            logits = head(found[last].flatten(2).mean(2))
            return functional.cross_entropy(logits, record["label"])

        teach(both, loss, Streams.of(seed, 1), steps, learning_rate)
    return system
