"""A training step of each library on one U-Net: hush's trainer, and the loops of the peers' own
examples, with the batch in memory."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from diffusers import UNet2DModel
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import hush
from hush.denoisers import GaussianDenoiser
from hush.interop.diffusers.networks import unet_from_diffusers
from hush.networks import Backbone, lowered, recomputed
from hush.system import Recipe
from hush.training.trainer import Trainer
from hush.world import World, keep_blocks
from peers.settings import load


@dataclass(frozen=True)
class Case:
    """A U-Net and what it learns from."""

    shape: tuple[int, int, int]
    batch: int
    widths: tuple[int, ...]
    blocks: int
    attention: int  # the level that has it

    def kinds(self, way: str) -> list[str]:
        """diffusers' names of the blocks on the `way` "Down" or "Up"."""
        names = [
            f"Attn{way}Block2D" if level == self.attention else f"{way}Block2D"
            for level in range(len(self.widths))
        ]
        return names if way == "Down" else names[::-1]


CASES = {
    "4.4 M weights": Case((3, 32, 32), 64, (64, 128, 128), 1, 1),
    "35.7 M weights": Case((3, 32, 32), 32, (128, 256, 256, 256), 2, 1),
    "8x8 digits": Case((1, 8, 8), 64, (32, 64), 1, 1),
}


@dataclass(frozen=True)
class Step:
    """What a round calls, the network it trains, and what its FLOPs are counted of."""

    work: Callable[[], None]
    network: nn.Module
    flops: float


def diffusers_network(case: Case, head: int) -> UNet2DModel:
    """The U-Net of diffusers, with attention heads of so many channels."""
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=case.shape[1],
        in_channels=case.shape[0],
        out_channels=case.shape[0],
        layers_per_block=case.blocks,
        block_out_channels=case.widths,
        attention_head_dim=head,
        norm_num_groups=min(32, min(case.widths) // 2),
        down_block_types=case.kinds("Down"),
        up_block_types=case.kinds("Up"),
    )


def diffusers_step(
    case: Case, device: torch.device, head: int, dtype: torch.dtype | None = None
) -> Step:
    """The step of diffusers' example of unconditional training."""
    network = diffusers_network(case, head).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    adam = torch.optim.AdamW(network.parameters(), lr=2e-4)
    pictures = torch.rand(case.batch, *case.shape, device=device) * 2 - 1
    alphas = torch.linspace(1e-4, 0.02, 1000, device=device).neg().add(1).cumprod(0)

    def step() -> None:
        noise, t = torch.randn_like(pictures), torch.randint(1000, (case.batch,), device=device)
        level = alphas[t].reshape(-1, 1, 1, 1)
        noisy = level.sqrt() * pictures + (1 - level).sqrt() * noise
        with torch.autocast(device.type, dtype) if dtype else nullcontext():
            loss = functional.mse_loss(network(noisy, t).sample.float(), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        with torch.no_grad():
            for trailing, weight in zip(average.parameters(), network.parameters(), strict=True):
                trailing.lerp_(weight, 1e-4)

    return Step(step, network, flops(network, case, device))


def lucidrains_step(case: Case, device: torch.device, dtype: torch.dtype | None = None) -> Step:
    """The step of denoising-diffusion-pytorch's trainer: its network, loss, Adam and EMA."""
    torch.manual_seed(0)
    missing = ("torchvision", "pytorch_fid", "pytorch_fid.fid_score", "pytorch_fid.inception")
    names = ("denoising_diffusion_pytorch", "ema_pytorch")
    library, averages = (load(name, name, missing=missing)[0] for name in names)
    multipliers = tuple(width // case.widths[0] for width in case.widths)
    full = tuple(level == case.attention for level in range(len(case.widths)))
    network = library.Unet(
        case.widths[0], dim_mults=multipliers, channels=case.shape[0], full_attn=full
    )
    chain = library.GaussianDiffusion(network, image_size=case.shape[1]).to(device)
    adam = torch.optim.Adam(chain.parameters(), lr=8e-5, betas=(0.9, 0.99))
    ema = averages.EMA(chain, beta=0.995, update_every=10).to(device)
    pictures = torch.rand(case.batch, *case.shape, device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype) if dtype else nullcontext():
            loss = chain(pictures)
        loss.backward()
        nn.utils.clip_grad_norm_(chain.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        ema.update()

    return Step(step, network, flops(network, case, device))


def hush_step(
    case: Case, device: torch.device, precision: str, like: bool = True, **how: object
) -> Step:
    """The step of hush's trainer as `train` sets it up, on the network of diffusers with heads of
    64, weight for weight, or on hush's own of the same widths; `how` are fields of the recipe."""
    torch.manual_seed(0)
    keep_blocks()
    multipliers = tuple(width // case.widths[0] for width in case.widths)
    backbone = Backbone(
        width=case.widths[0],
        multipliers=multipliers,
        blocks=case.blocks,
        attention=(case.attention,),
        dropout=0.0,
    )
    system = hush.systems.ddpm(case.shape, backbone=backbone)
    counted = system.denoiser.network
    if like:
        counted = diffusers_network(case, 64)
        network = unet_from_diffusers(counted.config, counted.state_dict())
        denoiser = GaussianDenoiser(system.denoiser.process, network.requires_grad_())
        system = replace(system, denoiser=denoiser)
    pictures = torch.rand(case.batch, *case.shape)
    system.codec.fit([pictures])
    recipe = Recipe(batch=case.batch, precision=precision, **how)
    trainer = Trainer(system, recipe, World(device=device))
    network = trainer.denoiser.network

    def step() -> None:
        with lowered(network, precision, device), recomputed(network, recipe.recompute):
            trainer.learn({"image": pictures})

    return Step(step, network, flops(counted.to(device), case, device))


def flops(network: nn.Module, case: Case, device: torch.device) -> float:
    """FLOPs of a training step on one picture: three times those of the forward pass."""
    x = torch.zeros(1, *case.shape, device=device)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(x, torch.zeros(1, device=device))
    return 3.0 * counter.get_total_flops()
