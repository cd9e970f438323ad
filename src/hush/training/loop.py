"""The one training loop. It knows a system's slots and nothing of any paper."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from hush.data import Source, batches, grid, save, split
from hush.errors import UserError
from hush.evaluation.held_out import held_out_losses
from hush.processes import GaussianProcess
from hush.rng import Streams, derive
from hush.samplers import Multistep
from hush.system import Recipe, System
from hush.training import metrics
from hush.training.checkpoint import Run, jsonable, load_into, read_tensors, stored
from hush.training.ema import EMA
from hush.training.optimiser import learning_rate, optimiser, packed, unpack
from hush.training.progress import Line, stoppable

DRAWN = 36  # samples in the grids drawn on the way
MEASURED = 4096  # records the codec is fitted on


def train(
    system: System,
    source: Source,
    out: str | os.PathLike[str],
    recipe: Recipe | None = None,
    show: bool = True,
    **changes: Any,
) -> System:
    """Train `system` on `source` in the run folder `out`, and return it with its averaged weights.

    `changes` are fields of the recipe, `train(model, data, "runs/a", steps=3000)`. If `out` already
    holds this run it goes on from its newest checkpoint. Ctrl-C and SIGTERM finish the step, save
    and return. Raises `UserError` for data or a folder that does not fit.
    """
    recipe = replace(recipe or system.recipe, **changes)
    _check(system, source)
    run = Run(out)
    about = {"name": source.name, "classes": source.classes, "levels": source.levels}
    record = {"name": system.name, "arguments": system.arguments, "data": about, "recipe": recipe}
    run.claim(jsonable({**record, "hush": version("hush")}))
    with torch.random.fork_rng(), stoppable() as stop:
        trainer = Trainer(system, source, run, recipe)
        with Line(recipe.steps, show) as line:
            trainer.run_to_end(line, stop.is_set)
    return trainer.averaged


def _check(system: System, source: Source) -> None:
    if tuple(source.shape) != tuple(system.task.shape):
        raise UserError(
            f"{source.name} has events of shape {tuple(source.shape)}, the model expects "
            f"{tuple(system.task.shape)}: make the system with shape={tuple(source.shape)}."
        )


class Trainer:
    """A system, its optimiser and its average at some step of a run."""

    def __init__(self, system: System, source: Source, run: Run, recipe: Recipe) -> None:
        AcceleratorState._reset_state()  # else the precision of an earlier run would stay
        self.accelerator = Accelerator(
            mixed_precision=recipe.precision, log_with="tensorboard", project_dir=run.path
        )
        self.system, self.run, self.recipe = system, run, recipe
        self.data, self.held_out = split(source, recipe.held_out, seed=recipe.seed)
        self.levels = source.levels
        device = self.accelerator.device
        self.denoiser = system.denoiser.to(device)
        self.codec = system.codec.to(device)
        self.ema = EMA(self.denoiser, recipe.ema)
        self.adam = self.accelerator.prepare(optimiser(self.denoiser, recipe))
        self.step = 0
        self._losses: list[Tensor] = []

    @property
    def averaged(self) -> System:
        """The system with the averaged weights."""
        return replace(self.system, denoiser=self.ema.module)

    def run_to_end(self, line: Line, stopped: Callable[[], bool]) -> None:
        """Every step from where the run stands to the recipe's last, or until `stopped()`."""
        self._begin(line)
        recipe, clock = self.recipe, time.perf_counter()
        with closing(self._records()) as records:
            for record in records:
                self.learn(record)
                line.advance()
                last = self.step == recipe.steps or stopped()
                if last or self.step % recipe.report_every == 0:
                    now = time.perf_counter()
                    self._report(line, now - clock)
                    clock = now
                if self.step == recipe.steps or self.step % recipe.sample_every == 0:
                    self._examine(line)
                if last or self.step % recipe.save_every == 0:
                    self.save()
                if last:
                    break
        self.accelerator.end_training()
        if self.step < recipe.steps:
            line.tell(
                f"Stopped and saved at step {self.step} of {recipe.steps} in {self.run.path}; "
                "run the same command again to go on."
            )

    def _records(self) -> Iterator[dict[str, Tensor]]:
        """The batches of the steps that are left. When one cannot be read, what was learnt until
        then is saved before the user hears of it."""
        recipe = self.recipe
        stream = batches(self.data, recipe.batch, recipe.seed, self.step, recipe.workers)
        with closing(stream):
            try:
                yield from islice(stream, max(0, recipe.steps - self.step))
            except UserError:
                if self.step:
                    self.save()
                raise

    def learn(self, record: dict[str, Tensor]) -> None:
        """One optimiser step. Its randomness is a function of the seed and the step alone."""
        recipe, accelerator = self.recipe, self.accelerator
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.step, recipe)
        torch.manual_seed(derive(recipe.seed, f"dropout/{self.step}"))  # inside train's fork_rng
        rng = Streams.of(
            derive(recipe.seed, "training"),
            recipe.batch,
            start=self.step * recipe.batch,
            device=accelerator.device,
        )
        self.denoiser.train()
        total = torch.zeros((), device=accelerator.device)
        size = recipe.batch // recipe.accumulate
        for start in range(0, recipe.batch, size):
            part = slice(start, start + size)
            x_0, cond, mask = self._prepared({key: all_[part] for key, all_ in record.items()})
            with accelerator.autocast():
                loss = self.system.objective(self.denoiser, x_0, rng[part], cond, mask)
            loss = loss.mean() / recipe.accumulate
            accelerator.backward(loss)
            total += loss.detach()
        accelerator.clip_grad_norm_(self.denoiser.parameters(), recipe.clip)
        self.adam.step()
        self.adam.zero_grad()
        self.ema.update(self.step)
        self._losses.append(total)
        self.step += 1

    def _prepared(self, record: dict[str, Tensor]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        device = self.accelerator.device
        record = {key: value.to(device, non_blocking=True) for key, value in record.items()}
        data, cond, mask = self.system.task.example(record)
        return self.codec.encode(data), cond, mask

    def _begin(self, line: Line) -> None:
        found = self.run.newest(line.tell)
        self.accelerator.init_trackers("tensorboard")
        if found is None:
            self.codec.fit(self._measured(), self.levels)
            weights = sum(p.numel() for p in self.denoiser.parameters())
            line.tell(
                f"{self.system.name}: {weights / 1e6:.2f} M weights, {len(self.data):,} records "
                f"to learn from, {len(self.held_out):,} held out, on {self.accelerator.device}"
            )
            return
        state, folder = found
        load_into(self.denoiser, self.codec, folder / "model.safetensors")
        load_into(self.ema.module, self.codec, folder / "ema.safetensors")
        unpack(self.adam, read_tensors(folder / "optimiser.safetensors"))
        if learned := self._learned_times():
            learned.load_state_dict(read_tensors(folder / "times.safetensors"))
        self.step = state["step"]
        metrics.forget_after(self.run.path / "metrics.jsonl", self.step)
        line.resume(self.step)
        if self.step >= self.recipe.steps:
            line.tell(
                f"{self.run.path} already has {self.step} of {self.recipe.steps} steps: ask for "
                "more --steps to go on."
            )
        else:
            line.tell(f"Going on from step {self.step} of {self.run.path}")

    def _learned_times(self) -> nn.Module | None:
        """The law of time, where it learns from the losses."""
        times = self.system.objective.times
        return times if isinstance(times, nn.Module) else None

    def _measured(self) -> Iterator[Tensor]:
        chosen = range(0, len(self.data), -(-len(self.data) // MEASURED))
        for start in range(0, len(chosen), 256):
            yield self.system.task.example(self.data.read(chosen[start : start + 256]))[0]

    def _report(self, line: Line, seconds: float) -> None:
        loss = torch.stack(self._losses).mean().item()
        rate = learning_rate(self.step - 1, self.recipe)
        speed = len(self._losses) * self.recipe.batch / seconds
        self._losses.clear()
        if not math.isfinite(loss):
            raise UserError(
                f"The loss is {loss} at step {self.step}. What was saved before is whole: lower "
                "--learning-rate, or raise --warmup, and run again to go on from it."
            )
        line.figures(loss, rate, speed)
        self._log({"loss": loss, "learning_rate": rate, "samples_per_second": speed})

    def _log(self, figures: dict[str, float]) -> None:
        self.accelerator.log(figures, self.step)
        metrics.append(self.run.path / "metrics.jsonl", self.step, figures)

    def _examine(self, line: Line) -> None:
        """Held-out losses per noise level, and a grid of samples, from the averaged weights."""
        losses = held_out_losses(self.averaged, self.held_out, self.recipe.seed)
        mean = sum(losses.values()) / len(losses)
        named = {f"held_out/{level}": loss for level, loss in losses.items()}
        self._log({"held_out/mean": mean, **named})
        numbers = isinstance(self.system.denoiser.process, GaussianProcess)
        sampler = Multistep() if numbers else self.system.sampler
        steps = min(self.system.grid.steps, 20 if numbers else 50)
        pictures = self.averaged.sample(DRAWN, sampler=sampler, grid=steps, seed=self.recipe.seed)
        path = self.run.path / "samples" / f"step-{self.step:09d}.png"
        save(grid(pictures.cpu()), path, overwrite=True)
        line.tell(f"step {self.step}: held-out loss {mean:.4f}, samples in {path}")

    def save(self) -> None:
        """Write a checkpoint of where the run stands."""
        tensors = {
            "model": stored(self.denoiser, self.codec),
            "ema": stored(self.ema.module, self.codec),
            "optimiser": packed(self.adam),
        }
        if learned := self._learned_times():
            tensors["times"] = learned.state_dict()
        self.run.save(self.step, tensors, {})
