"""A model as it learns: what a step does, and all that a checkpoint must hold of it."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hush.networks import positioned
from hush.rng import Streams, derive
from hush.system import Recipe, System
from hush.training.ema import EMA
from hush.training.guard import Guard
from hush.training.learner import Learner, average, joining, spread
from hush.training.optimiser import (
    gradient_norm,
    learning_rate,
    optimiser,
    packed,
    take_step,
    unpack,
)
from hush.training.stored import Stored, Tensors, load_into, stored
from hush.world import World


class Trainer:
    """A system, its optimiser and its average at some step of a run, on one of its processes.

    `step` counts optimiser steps, `seen` the samples of all processes. All randomness is a function
    of the seed and of the samples' positions in the run, so this is the whole state there is.
    """

    def __init__(self, system: System, recipe: Recipe, world: World) -> None:
        self.system, self.recipe, self.world = system, recipe, world
        self.sharded = recipe.shard and world.size > 1
        denoiser = copy.deepcopy(system.denoiser) if self.sharded else system.denoiser
        self.denoiser, self.codec = denoiser.to(world.device), system.codec.to(world.device)
        world.alike(self.denoiser)
        trailing = copy.deepcopy(self.denoiser).requires_grad_(False)
        self.learner = spread(Learner(system, self.denoiser, self.codec), world, self.sharded)
        trailing = spread(trailing, world, True) if self.sharded else trailing
        self.ema = EMA(trailing, self.denoiser, recipe.ema)
        self.adam = optimiser(self.denoiser, recipe)
        self.guard = Guard(recipe.precision == "fp16").to(world.device)
        self.masks = derive(recipe.seed, "dropout")
        self.step = self.seen = 0
        self.losses: list[Tensor] = []  # of the steps since the last report
        self.lowered = 1.0  # what the guard has the learning rate multiplied with

    @property
    def rate(self) -> float:
        """The learning rate of the step before this one."""
        return self.lowered * learning_rate(max(0, self.step - 1), self.recipe)

    def learn(self, record: dict[str, Tensor]) -> None:
        """One optimiser step, from this process's share of a batch."""
        total = torch.zeros((), device=self.world.device)
        for number, (part, rng, start) in enumerate(self._parts(record), 1):
            last = number == self.recipe.accumulate
            with joining(self.learner, last), positioned(self.denoiser, self.masks, start):
                loss = self.learner(part, rng).mean() / self.recipe.accumulate
                (loss * self.guard.scale).backward()
            total += loss.detach()
        self._settle(self.world.summed(total) / self.world.size)

    def rehearse(self, record: dict[str, Tensor]) -> None:
        """Compute the gradients of the next step's first part and forget them: of this process
        alone, and nothing that `tensors` gives changes."""
        part, rng, start = next(self._parts(record))
        objective = copy.deepcopy(self.system.objective)  # it may note what it sees
        learner = Learner(replace(self.system, objective=objective), self.denoiser, self.codec)
        trained = [p for p in self.denoiser.parameters() if p.requires_grad]
        with positioned(self.denoiser, self.masks, start):
            loss = learner(part, rng).mean() / self.recipe.accumulate
            torch.autograd.grad(loss * self.guard.scale, trained, allow_unused=True)

    def _parts(self, record: dict[str, Tensor]) -> Iterator[tuple[dict[str, Tensor], Streams, int]]:
        """What this process's share of a batch is computed in, one after the other: records, their
        streams, and the position of the first in the run."""
        recipe, world, device = self.recipe, self.world, self.world.device
        share = recipe.batch // world.size
        size, first = share // recipe.accumulate, self.seen + world.rank * share
        record = {key: value.to(device, non_blocking=True) for key, value in record.items()}
        rng = Streams.of(derive(recipe.seed, "training"), share, first, device)
        if not self.denoiser.training:  # or it visits every module of a network in vain
            self.denoiser.train()
        for start in range(0, share, size):
            part = slice(start, start + size)
            yield {key: all_[part] for key, all_ in record.items()}, rng[part], first + start

    def _settle(self, loss: Tensor) -> None:
        """Take the step whose gradients are there, unless it would spoil the weights."""
        recipe = self.recipe
        if self.sharded:
            average(self.learner, self.world)
        self.system.objective.times.learn(self.world.rows)
        divisor, skip = self.guard.weigh(loss, gradient_norm(self.adam), recipe.clip)
        take_step(self.adam, self.lowered * learning_rate(self.step, recipe), divisor, skip)
        self.ema.update(self.step)
        self.losses.append(loss.masked_fill(skip.bool(), torch.nan))
        self.step += 1
        self.seen += recipe.batch

    def lower(self, returns: int, factor: float) -> None:
        """Go on with `factor` times the learning rate, the run having gone back so often."""
        self.lowered = factor
        self.guard.went_back(returns, factor)

    def tensors(self) -> dict[str, Tensors]:
        """The tensors of a checkpoint, by file."""
        loop = {
            f"{part}.{key}": value
            for part, module in self._learning().items()
            for key, value in module.state_dict().items()
        }
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0)
        return {
            "model": stored(self.denoiser, self.codec),
            "ema": stored(self.ema.module, self.codec),
            "optimiser": packed(self.adam, self.denoiser),
            "loop": {**loop, "losses": losses},
        }

    def restore(self, folder: Path, step: int, seen: int) -> None:
        """Stand where a checkpoint does. The guard's lowering of the rate comes back with it."""
        load_into(self.denoiser, self.codec, folder, "model")
        load_into(self.ema.module, self.codec, folder, "ema")
        unpack(self.adam, self.denoiser, Stored(folder, "optimiser"))
        loop = Stored(folder, "loop")
        for part, module in self._learning().items():
            for key, target in module.state_dict().items():
                loop.fill(f"{part}.{key}", target)
        self.losses = list(loop.whole("losses").to(self.world.device))
        self.lowered = float(self.guard.rate)
        self.step, self.seen = step, seen

    def _learning(self) -> dict[str, nn.Module]:
        """What has a state beside the network: the guard, and the law of time where it learns."""
        times = self.system.objective.times
        learned = {"times": times} if isinstance(times, nn.Module) else {}
        return {"guard": self.guard, **learned}
