"""Decoder denoising pretraining."""

import copy
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from hush.codecs import Standard
from hush.data import Source, batches
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.errors import UserError
from hush.networks import Backbone
from hush.networks.features import features
from hush.objectives import Denoising
from hush.objectives.times import Uniform
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, grids
from hush.schedules import EDM as NoiseLevel
from hush.schedules import Level
from hush.system import Recipe, System, cited
from hush.tasks import Generate
from hush.tasks.fine_tune import clock_at
from hush.tasks.reader import made, teach
from hush.world import World

ENCODER = ("embedding", "stem", "down", "middle")  # of a U-Net; the rest is the decoder
LEVEL = 1.0  # the time at which σ is reached, and the only one


@dataclass(frozen=True)
class Additive(Noise):
    """The noise ε, of a network that is fed x + σ ε as it is."""

    def c_in(self, level: Level) -> float:
        return 1.0


@cited(
    "Brempong, Kornblith, Chen, Parmar, Minderer, Norouzi 2022, Denoising pretraining for semantic "
    "segmentation, arXiv:2205.11423"
)
def ddep(
    shape: tuple[int, ...],
    backbone: Backbone = Backbone(dropout=0.0),
    sigma: float = 0.22,
    scaled: bool = True,
    recipe: Recipe = Recipe(steps=100_000, batch=512, learning_rate=1e-4, warmup=5000, ema=0.9999),
) -> System:
    """DDeP: the way down of a U-Net, taught to tell classes (`recognise`), is held as it is, while
    the way up learns the noise of one level; then `hush.tasks.fine_tune` needs few labels.

    E ‖ε - ε_θ((1+σ²)^-½ (x_0 + σ ε))‖², of x_0 with mean 0 and variance 1. It is not made to draw.
    `hush train ddep` holds whatever way down it finds, so teach it first, in Python.

    Args:
        shape: of one event, (channel, height, width).
        backbone: the network, a U-Net.
        sigma: the one noise level.
        scaled: the noisy picture is scaled back to variance 1 before the network sees it.
        recipe: how the way up is trained.
    """
    if backbone.network != "unet":
        raise UserError(f"ddep needs a U-Net, got --network {backbone.network}.")
    network = backbone.build(shape)
    for part in ENCODER:
        getattr(network, part).requires_grad_(False)
    schedule = NoiseLevel(sigma)  # x_0 + σ t ε, of which only t = 1 is met
    parameterisation = Noise() if scaled else Additive()
    return System(
        codec=Standard(1.0),
        denoiser=GaussianDenoiser(GaussianProcess(schedule), network, parameterisation),
        objective=Denoising(Simple(), times=Uniform(shortest=LEVEL)),
        sampler=Ancestral(),
        grid=grids.Uniform(1),
        task=Generate(shape),
        recipe=recipe,
    )


def recognise(
    system: System,
    source: Source,
    steps: int = 1000,
    batch: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> System:
    """The system with the way down of its U-Net taught to tell the classes of a source, by the mean
    over the last map before the way up, one linear layer and the cross-entropy. Raises `UserError`
    for a source without classes.
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
    clock, device = clock_at(system, LEVEL), World().device
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
