"""What a run says as it goes: to the person who watches, and to its files."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hush.data import Source, save, strip
from hush.evaluation.held_out import Losses, held_out_each
from hush.evaluation.yardstick import Yardsticks, verdict, yardsticks
from hush.networks import suits
from hush.processes import Encoded
from hush.rng import Streams, derive
from hush.tensors import Condition, each
from hush.training.journal import Journal
from hush.training.progress import Line, Pace
from hush.training.run import Run
from hush.training.shown import shown
from hush.training.trainer import Trainer

REPEATED = 12  # data that an autoencoder is shown to repeat


class Reports:
    """The reports of a run, and the examinations of its averaged weights, which all its processes
    make together."""

    def __init__(
        self, trainer: Trainer, run: Run, line: Line, learnt: Source, held_out: Source
    ) -> None:
        self.trainer, self.run, self.line = trainer, run, line
        self.learnt, self.held_out = learnt, held_out
        self.world, self.recipe = trainer.world, trainer.recipe
        self.system = replace(trainer.system, denoiser=trainer.ema.module)
        self.journal = Journal(run.path, self.world.main)
        self.close = self.journal.close
        self._warned: str | None = None

    def begin(self) -> None:
        """Go on from where the trainer stands: what was written of its step and later goes."""
        self.journal.begin(self.trainer.step)
        self._pace = Pace(self.trainer.seen)

    def ended(self) -> bool:
        """Whether the last report of the last step is written."""
        return self.world.first(lambda: self.journal.ended(self.recipe.steps))

    def made(self, stopped: Callable[[], bool]) -> bool:
        """Report and examine where it is time to; whether that came to its end before
        `stopped()`. Only then are the losses reported forgotten: who saves in between, saves
        them."""
        step = self.trainer.step
        reported = step > 0 and self.recipe.due(self.recipe.report_every, step)
        if reported:
            self._report(step)
        examine = step > 0 and self.recipe.due(self.recipe.sample_every, step)
        if examine and not self._examine(step, stopped):
            return False
        if reported:
            self.trainer.losses.clear()
        return True

    def learns(self, records: Tensor) -> None:
        """Note which records the next step learns from, if the recipe wants that."""
        if self.recipe.log_records:
            self.journal.learnt(self.trainer.step + 1, self.world.rows(records).tolist())

    def _report(self, step: int) -> None:
        every = torch.stack(self.trainer.losses).tolist()
        losses = [loss for loss in every if abs(loss) < float("inf")]
        figures = {"loss": sum(losses) / len(losses)} if losses else {}
        figures["learning_rate"] = self.trainer.rate
        if len(losses) < len(every):
            figures["skipped"] = len(every) - len(losses)
        speed = self._pace.speed(self.trainer.seen)
        self.line.figures(figures, speed)
        self.journal.report(step, figures, samples_per_second=speed)

    def _examine(self, step: int, stopped: Callable[[], bool]) -> bool:
        """Held-out losses per noise level, and a grid of samples."""
        found = held_out_each(self.system, self.held_out, self.recipe.seed, world=self.world)
        losses, drawn = found.means(), self._drawn(stopped)
        mean = sum(losses.values()) / len(losses)
        if drawn is None:
            return False
        path = self.run.path / "samples" / f"step-{step:09d}.png"
        if self.world.main:
            save(drawn, path, overwrite=True)
        named = {f"held_out/{time}": loss for time, loss in losses.items()}
        than = self._yardsticks()
        beside = _named(than) if than else {}
        self.journal.report(step, {"held_out/mean": mean, **named, **beside})
        self.line.tell(f"step {step}: held-out loss {mean:.4f}, samples in {path}")
        self._warn(found, than)
        return True

    def _yardsticks(self) -> Yardsticks | None:
        """What models that know no network would score, for the process that reports it."""
        if not self.world.main:
            return None
        return yardsticks(self.system, self.learnt, self.held_out, self.recipe.seed)

    def _warn(self, found: Losses, than: Yardsticks | None) -> None:
        """Say so where a model that knows no network does as well."""
        told = verdict(found, than) if than else None
        if told and told != self._warned:
            self.line.tell(told)
        self._warned = told

    def _drawn(self, stopped: Callable[[], bool]) -> Tensor | None:
        """A picture of some samples, as the task shows them, each process having drawn a share;
        None once `stopped()`. Of a model that wants something given, held-out records are."""
        system = self.system
        if isinstance(system.denoiser.process, Encoded):
            return self._repeated()
        task = system.task
        data, cond = self._asked(task.shows) if task.asks else (None, None)
        count = task.shows if data is None else task.answers * len(data)
        sampler, steps = shown(system)
        turn, seed = self.world.turn(count), self.recipe.seed
        for state in system.walk(len(turn), cond, sampler, steps, seed, start=turn.start):
            if self.world.most(stopped()):
                return None
            drawn = state.x
        _, mine = system.request(len(turn), cond, turn.start)
        answers = self.world.rows(system.codec.decode(drawn, mine))[:count].cpu()
        if data is None:
            return task.picture(answers)
        return task.picture(answers, each(Tensor.cpu, cond), data.cpu())

    def _repeated(self) -> Tensor:
        """Held-out data above what is left of them on the way through an autoencoder."""
        data, denoiser, codec = self._asked(REPEATED)[0], self.system.denoiser, self.system.codec
        with torch.no_grad():
            z = denoiser.process.marginal(codec.encode(data)).mean
            return strip([data.cpu(), codec.decode(denoiser(z).mean).cpu()])

    def _asked(self, most: int) -> tuple[Tensor, Condition | None]:
        """Some held-out data, and what is given of them."""
        count, device = min(len(self.held_out), most), self.world.device
        record = self.held_out.read(range(count))
        whose = Streams.of(derive(self.recipe.seed, "asked"), count, device=device)
        record = {key: value.to(device) for key, value in record.items()}
        data, cond, _ = self.system.task.example(record, whose)
        return data, cond

    def began(self) -> None:
        """Say what is about to be learnt."""
        weights = sum(p.numel() for p in self.trainer.denoiser.parameters())
        self.line.tell(
            f"{self.system.name}: {weights / 1e6:.2f} M weights, {len(self.learnt):,} records to "
            f"learn from, {len(self.held_out):,} held out, on {self.world}"
        )
        if not suits(self.recipe.precision, self.world.device):
            self.line.tell(
                f"This processor has no {self.recipe.precision} arithmetic and imitates it, many "
                "times slower than float32: leave --precision out."
            )

    def resumed(self, changed: bool) -> None:
        """Say from where the run goes on, and whether the data have `changed` since."""
        step = self.trainer.step
        self.line.resume(step)
        if step < self.recipe.steps:
            self.line.tell(f"Going on from step {step} of {self.run.path}")
        else:
            self.line.tell(
                f"{self.run.path} already has {step} of {self.recipe.steps} steps: ask for more "
                "--steps to go on."
            )
        if changed:
            self.line.tell(
                f"The data are not what they were when step {step} was saved: from here on the "
                "records come in another order, and others are held out."
            )

    def went_back(self, reached: int, lowered: float) -> None:
        """Say that the run returned from the step it had `reached`, and how its rate is lowered."""
        step = self.trainer.step
        self.line.resume(step)
        self.journal.report(step, {"went_back_from": reached, "rate": lowered})
        self.line.tell(
            f"step {reached}: the loss or its gradient was not finite many steps in a row. Back to "
            f"step {step}, and on with {lowered:g} of the learning rate."
        )

    def over(self) -> None:
        """Say where a run that was stopped stands."""
        step = self.trainer.step
        if step < self.recipe.steps:
            self.line.tell(
                f"Stopped and saved at step {step} of {self.recipe.steps} in {self.run.path}; run "
                "the same command again to go on."
            )


def _named(than: Yardsticks) -> dict[str, float]:
    """The yardsticks' losses at each noise level, as a line of metrics has them."""
    both = {"average": than.constant, "gaussian": than.gaussian}
    return {f"{name}/{t}": loss for name, one in both.items() for t, loss in one.means().items()}
