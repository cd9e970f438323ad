"""Learners of digits for `quality.py`: diffusers' script of unconditional training, and hush."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn import functional

import hush
from hush.networks import lowered
from hush.samplers import Multistep
from hush.samplers.grids import Chain
from hush.system import Recipe
from hush.training.trainer import Trainer
from hush.world import World, keep_blocks
from peers.steps import CASES, diffusers_network

CASE = CASES["8x8 digits"]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Script:
    """The settings of diffusers' script of unconditional training, and their defaults; without
    `power` the average warms up as hush's does."""

    batch: int = 16
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.95, 0.999)
    weight_decay: float = 1e-6
    decay: str = "cosine"
    warmup: int = 500
    ema: float = 0.9999
    power: float | None = 0.75


class Diffusers:
    """Its loop, its network, its schedulers."""

    def __init__(self, how: Script, steps: int, seed: int) -> None:
        self.batch, self.network = how.batch, first_network(seed)
        self.chain, weights = DDPMScheduler(1000), list(self.network.parameters())
        self.adam = torch.optim.AdamW(
            weights, lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay
        )
        self.rate = get_scheduler(how.decay, self.adam, None, how.warmup, steps)
        warm = {"use_ema_warmup": True, "inv_gamma": 1.0, "power": how.power} if how.power else {}
        self.ema = EMAModel(weights, decay=how.ema, **warm)

    def learn(self, record: dict[str, Tensor]) -> None:
        """One step of the optimiser."""
        x_0 = 2.0 * record["image"] - 1.0
        noise, t = torch.randn_like(x_0), torch.randint(1000, (len(x_0),))
        guess = self.network(self.chain.add_noise(x_0, noise, t), t).sample
        functional.mse_loss(guess, noise).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.adam.step()
        self.rate.step()
        self.adam.zero_grad()
        self.ema.step(self.network.parameters())

    @property
    def averaged(self) -> UNet2DModel:
        """The network with its averaged weights."""
        network = copy.deepcopy(self.network).eval()
        self.ema.copy_to(network.parameters())
        return network

    @torch.no_grad()
    def draws(self, count: int) -> Iterator[tuple[str, Tensor]]:
        """Samples in [0, 1], in 20 steps of DPM-Solver++ and in 50 of DDIM."""
        network = self.averaged
        kinds = {"DPM-Solver++": (DPMSolverMultistepScheduler, 20), "DDIM": (DDIMScheduler, 50)}
        for name, (kind, steps) in kinds.items():
            generator, parts = torch.Generator().manual_seed(0), []
            for x in torch.randn(count, *CASE.shape, generator=generator).split(256):
                scheduler = kind.from_config(self.chain.config)
                scheduler.set_timesteps(steps)
                for t in scheduler.timesteps:
                    x = scheduler.step(network(x, t).sample, t, x).prev_sample
                parts.append(x)
            yield name, (torch.cat(parts) + 1.0) / 2.0


class Hush:
    """Its trainer, as `hush.train` sets it up."""

    def __init__(self, system: hush.System, recipe: Recipe, guidance: float | None = None) -> None:
        keep_blocks()
        system.codec.fit([torch.tensor([0.0, 1.0])], levels=17)
        self.batch, self.system, self.guidance = recipe.batch, system, guidance
        self.trainer = Trainer(system, recipe, World(device=CPU))

    def learn(self, record: dict[str, Tensor]) -> None:
        """One step of the optimiser."""
        with lowered(self.trainer.denoiser.network, self.trainer.recipe.precision, CPU):
            self.trainer.learn(record)

    @property
    def averaged(self) -> nn.Module:
        """The network with its averaged weights."""
        return self.trainer.ema.module.network

    def draws(self, count: int) -> Iterator[tuple[str, Tensor]]:
        """Samples in [0, 1], in the demo's 20 steps."""
        model = replace(self.system, denoiser=self.trainer.ema.module)
        how = {"sampler": Multistep(order=2), "grid": Chain(20), "guidance": self.guidance}
        yield "Multistep", model.sample(count, **how, seed=0)


def first_network(seed: int) -> UNet2DModel:
    """The U-Net of diffusers, with heads of 64 (faster than its default of 8)."""
    config = diffusers_network(CASE, 64).config
    torch.manual_seed(seed)
    return UNet2DModel.from_config(config)
