"""Decoder denoising pretraining."""

from dataclasses import dataclass

from hush.codecs import Standard
from hush.denoisers import GaussianDenoiser
from hush.denoisers.parameterisations import Noise
from hush.errors import UserError
from hush.networks import Backbone
from hush.objectives import Denoising
from hush.objectives.times import Uniform
from hush.objectives.weights import Simple
from hush.processes import GaussianProcess
from hush.samplers import Ancestral, grids
from hush.schedules import EDM as NoiseLevel
from hush.schedules import Level
from hush.system import Recipe, System, cited
from hush.tasks import Generate
from hush.tasks.recognise import ENCODER, Recognition

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
    recognise: int = 0,
    classes: tuple[str, ...] = (),
    recipe: Recipe = Recipe(steps=100_000, batch=512, learning_rate=1e-4, warmup=5000, ema=0.9999),
) -> System:
    """DDeP: the way down of a U-Net, taught to tell classes (`recognise`), is held as it is, while
    the way up learns the noise of one level; then `hush.tasks.fine_tune` needs few labels.

    E ‖ε - ε_θ((1+σ²)^-½ (x_0 + σ ε))‖², of x_0 with mean 0 and variance 1. It is not made to draw.
    With --recognise STEPS a run begins by teaching the way down the classes of its data; without,
    it holds the one it finds, which Python may have taught.

    Args:
        shape: of one event, (channel, height, width).
        backbone: the network, a U-Net.
        sigma: the one noise level.
        scaled: the noisy picture is scaled back to variance 1 before the network sees it.
        recognise: batches of 64 that teach the way down to tell the classes before all else.
        classes: names of the classes, if the data have them.
        recipe: how the way up is trained.
    """
    if backbone.network != "unet":
        raise UserError(f"ddep needs a U-Net, got --network {backbone.network}.")
    if recognise and len(classes) < 2:
        raise UserError(
            f"--recognise {recognise} wants data with classes for the encoder to learn to tell "
            f"apart, got {len(classes)}: put pictures into subfolders, or leave it out."
        )
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
        first=Recognition(recognise) if recognise else None,
    )
