"""What `features.py` trains, and what others than a diffusion model see of a picture."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import safetensors.torch
import torch
from measure import half
from scenes import SHAPES, SIDE, scenes
from torch import Tensor, nn
from torch.nn import functional

import hush
from hush.data import InMemory, batches
from hush.networks import VAE, Backbone
from hush.networks.autoencoder import Block
from hush.networks.features import at_pixels
from hush.system import System
from hush.systems.ddep import ddep
from hush.tasks.recognise import recognise

UNLABELLED = 4000
NEAR, WIDE, COMPONENTS = 9, 15, 64  # sides of neighbourhoods, and what is kept of the wider
STEPS, ENCODER, DECODER = 2000, 600, 600  # of training

UNET = Backbone(width=24, multipliers=(1, 2, 2), blocks=1, attention=(2,), dropout=0.0)
SMALLER = Backbone(width=16, multipliers=(1, 2, 2), blocks=1, attention=(2,), dropout=0.0)
RECIPE = {
    "batch": 16,
    "learning_rate": 1e-3,
    "warmup": 200,
    "decay": "cosine",
    "ema": 0.998,
    "precision": half(),
    "held_out": 0.02,
    "sample_every": 10**9,
    "save_every": 500,
    "show": False,
}
Describe = Callable[[Tensor], Tensor]


# ---- What is trained.


def pictures() -> InMemory:
    """The pictures that nobody labelled."""
    return InMemory(scenes(UNLABELLED, 0, "train").pictures, name="scenes")


def generator(runs: Path) -> System:
    """The diffusion model of the unlabelled pictures."""
    model, source = _made(hush.systems.ddpm, UNET), pictures()
    return hush.train(model, source, runs / "ddpm", steps=STEPS, **RECIPE)


def untrained() -> System:
    """The same network with weights drawn at random, also those that begin at zero."""
    model = _made(hush.systems.ddpm, UNET)
    model.codec.fit((pictures().images,))
    for layer in model.denoiser.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    return model


def pretrained(runs: Path, sigma: float) -> System:
    """DDeP: an encoder that tells shapes, a decoder that knows the noise of one level."""
    source, model = pictures(), recognising(runs, sigma)
    settings = {**RECIPE, "batch": 32, "save_every": 200}
    return hush.train(model, source, runs / f"ddep-{sigma:g}", steps=DECODER, **settings)


def recognising(runs: Path, sigma: float = 0.22) -> System:
    """The encoder that tells which of the shapes is on a picture; its decoder knows nothing."""
    model, path = _made(ddep, SMALLER, sigma=sigma), runs / "encoder.safetensors"
    model.codec.fit((pictures().images,))
    if not path.exists():
        drawn = scenes(UNLABELLED, 1, "train", alike=True).pictures
        label = torch.arange(UNLABELLED) % len(SHAPES)
        source = InMemory(drawn, label, SHAPES, name="shapes")
        found = recognise(model, source, steps=ENCODER, batch=32, learning_rate=2e-3)
        safetensors.torch.save_file(found.denoiser.state_dict(), path)
    model.denoiser.load_state_dict(safetensors.torch.load_file(path))
    return model


def autoencoder(runs: Path) -> VAE:
    """The autoencoder of the same pictures, by their squared error, for as many steps."""
    path = runs / "autoencoder.safetensors"
    torch.manual_seed(0)
    model = VAE((1, SIDE, SIDE), UNET.width, UNET.multipliers)
    if not path.exists():
        adam = torch.optim.AdamW(model.parameters(), 1e-3)
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-3, total_steps=STEPS)
        for record in islice(batches(pictures(), RECIPE["batch"]), STEPS):
            adam.zero_grad()
            x = 2.0 * record["image"] - 1.0
            functional.mse_loss(model(x), x).backward()
            adam.step()
            cycle.step()
        safetensors.torch.save_file(model.state_dict(), path)
    model.load_state_dict(safetensors.torch.load_file(path))
    return model.eval()


def _made(system: Callable[..., System], backbone: Backbone, **settings: float) -> System:
    torch.manual_seed(0)
    return system((1, SIDE, SIDE), backbone=backbone, **settings)


# ---- What others see of a picture.


def neighbourhood(images: Tensor) -> Tensor:
    """The pixels around each pixel."""
    edge = functional.pad(images, (NEAR // 2,) * 4, mode="replicate")
    return functional.unfold(edge, NEAR).unflatten(2, images.shape[2:])


def principal() -> Describe:
    """The principal components of wider neighbourhoods, of pictures that nobody labelled."""
    patches = functional.unfold(pictures().images[:300], WIDE).movedim(1, 0).flatten(1).T
    centred = patches[::7] - patches.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred)[1][:, -COMPONENTS:]
    kernel = directions.T.reshape(COMPONENTS, 1, WIDE, WIDE).contiguous()

    def found(images: Tensor) -> Tensor:
        edge = functional.pad(images, (WIDE // 2,) * 4, mode="replicate")
        return functional.conv2d(edge, kernel)

    return found


def decoded(model: VAE) -> Describe:
    """The maps of every block of an autoencoder's decoder."""
    layers = [layer for layer in model.decoder.layers if isinstance(layer, Block)]

    @torch.no_grad()
    def found(images: Tensor) -> Tensor:
        maps: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda *on: maps.append(on[2])) for layer in layers]
        model(2.0 * images - 1.0)
        for hook in hooks:
            hook.remove()
        return torch.cat([at_pixels(x, SIDE // x.shape[-1], images.shape[2:]) for x in maps], 1)

    return found
