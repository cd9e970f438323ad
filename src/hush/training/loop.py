"""The one training loop. It knows a system's slots and nothing of any paper."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.metadata import version
from itertools import islice
from typing import Any

from torch import Tensor

from hush.data import Source, batches, split
from hush.data.shelf import cache_folder
from hush.errors import Elsewhere, UserError
from hush.networks import compiled, lowered, recomputed
from hush.recipe import Choice
from hush.system import Recipe, System
from hush.training.checks import check
from hush.training.gain import gain
from hush.training.guard import LOOK, PATIENCE
from hush.training.measuring import fit
from hush.training.progress import Line, stoppable
from hush.training.reports import Reports
from hush.training.run import Run, jsonable
from hush.training.saver import Saver
from hush.training.stored import load_into
from hush.training.trainer import Trainer
from hush.world import World, joined

RETURNS = 4  # how often a run goes back before it gives up
GO, STOP, FAILED, LOST = range(4)  # what the processes tell each other before every step


def train(
    system: System,
    source: Source,
    out: str | os.PathLike[str],
    recipe: Recipe | None = None,
    show: bool = True,
    choices: Sequence[Choice] = (),
    **changes: Any,
) -> System:
    """Train `system` on `source` in the run folder `out`, and return it with its averaged weights.

    `changes` are fields of the recipe, `train(model, data, "runs/a", steps=3000)`; `choices` (see
    `hush.inspect`) are kept in the run's record. If `out` already holds this run it goes on from
    its newest checkpoint, and ends with the very bits of one that was never stopped. Ctrl-C and
    SIGTERM finish the step, save and return. Under torchrun all its processes train the one model.
    Raises `UserError` for data or a folder that does not fit.
    """
    recipe, run = replace(recipe or system.recipe, **changes), Run(out)
    about = {"name": source.name, "classes": source.classes, "levels": source.levels}
    about |= {"channels": source.channels, "asked": dict(source.asked)}
    record = {"name": system.name, "arguments": system.arguments, "data": about, "recipe": recipe}
    record |= {"choices": choices} if choices else {}
    with joined() as world, ExitStack() as held:
        check(system, source, recipe, world)

        def claim() -> None:
            held.enter_context(run.held())
            run.claim(jsonable({**record, "hush": version("hush")}))

        world.first(claim)
        stop = held.enter_context(stoppable())
        line = held.enter_context(Line(recipe.steps, show and world.main))
        return _learnt(system, source, recipe, run, world, line, stop.is_set)


def _learnt(
    system: System,
    source: Source,
    recipe: Recipe,
    run: Run,
    world: World,
    line: Line,
    stopped: Callable[[], bool],
) -> System:
    """The system as its run left it. What shares gradients ends here, before the group it shares
    them in is left: else gloo's own thread and this one may wait for each other for ever."""
    if system.first and world.first(lambda: run.newest(line.tell)) is None:
        seen, _ = split(source, recipe.held_out, seed=recipe.seed)
        system = system.first(system, seen, recipe.seed)
    trainer = Trainer(system, recipe, world)
    Loop(trainer, source, run, line).run(stopped)
    if not trainer.sharded:
        return replace(system, denoiser=trainer.ema.module)
    load_into(system.denoiser, system.codec, run.path, "ema")
    return system


class Loop:
    """Takes a trainer from where its run stands to the recipe's last step.

    The state at a step is saved before anything is reported of it: whoever goes on from there
    makes the step's reports again, the same to the byte.
    """

    def __init__(self, trainer: Trainer, source: Source, run: Run, line: Line) -> None:
        self.trainer, self.source, self.disk = trainer, source, run
        self.digest = source.digest()
        self.recipe, self.world = trainer.recipe, trainer.world
        self.data, held_out = split(source, self.recipe.held_out, seed=self.recipe.seed)
        self.saver = Saver(run, self.world, trainer.sharded)
        self.reports = Reports(trainer, run, line, self.data, held_out)
        self._stream: Generator[dict[str, Tensor]] = (record for record in ())

    def run(self, stopped: Callable[[], bool]) -> None:
        """All the steps that are left, or those until `stopped()`."""
        network, precision = self.trainer.denoiser.network, self.recipe.precision
        with (
            closing(self.saver),
            closing(self.reports),
            closing(self),
            lowered(network, precision, self.world.device),
            compiled(network, self.recipe.compile, cache_folder("compiled")),
            recomputed(network, self.recipe.recompute),
        ):
            self._begin()
            over = self.trainer.step >= self.recipe.steps
            if not (over and self.reports.ended()):
                self._walk(stopped)
            self._settle()
        self.reports.over()

    def _walk(self, stopped: Callable[[], bool]) -> None:
        self._set_out()
        weigh = self.recipe.compile
        while True:
            if self.trainer.step % LOOK == 0 and int(self.trainer.guard.in_a_row) >= PATIENCE:
                self._go_back()
            record, word, error = self._fetched()
            word = self.world.most(max(word, STOP if stopped() else GO))
            if self._time_to_save() and word != LOST:
                self._save()
            if word or not self.reports.made(stopped):
                return self._leave(word, error)
            if self.trainer.step >= self.recipe.steps:
                return None
            if weigh:
                left = self.recipe.steps - self.trainer.step
                self.reports.line.tell(gain(self.trainer, record).told(left))
                weigh = False
            self.reports.learns(record["index"])
            self.trainer.learn(record)
            self.reports.line.advance()

    def _begin(self) -> None:
        """Stand where the run's newest checkpoint does, or at the very beginning."""
        step = self.world.first(lambda: self.disk.newest(self.reports.line.tell))
        if step is None:
            trainer = self.trainer
            self.world.first(
                lambda: fit(trainer.codec, trainer.system, self.data, self.recipe.seed)
            )
            self.world.alike(self.trainer.codec)
            self.reports.began()
        else:
            self._stand_at(step)
            self.reports.resumed(self.disk.state(step)["data"] != self.digest)

    def _stand_at(self, step: int) -> None:
        """Take up a checkpoint."""
        self.trainer.restore(self.disk.folder(step), step, self.disk.state(step)["samples"])
        self.world.wait()  # so that nobody drops it while another still reads

    def _set_out(self) -> None:
        """Open the data and the journal where the trainer stands."""
        self._stream = self._records()
        self.reports.begin()

    def _records(self) -> Generator[dict[str, Tensor]]:
        """The batches of the steps that are left, this process's share of each."""
        recipe, seen, world = self.recipe, self.trainer.seen, self.world
        left = max(0, recipe.steps - self.trainer.step)
        stream = batches(
            self.data, recipe.batch, recipe.seed, seen, recipe.workers, world.rank, world.size
        )
        with closing(stream):
            yield from islice(stream, left)

    def _fetched(self) -> tuple[dict[str, Tensor] | None, int, UserError | None]:
        """The next batch; or none, and what to tell the other processes."""
        try:  # whether the checkpoint before is written must be known before another is begun
            (self.saver.finish if self._time_to_save() else self.saver.check)()
        except UserError as error:
            return None, LOST, error
        try:
            return next(self._stream, None), GO, None
        except UserError as error:
            return None, FAILED, error

    def _time_to_save(self) -> bool:
        """Whether this step is one to save. One after a skipped step is not, but for the last."""
        last = self.trainer.step >= self.recipe.steps
        due = self.recipe.due(self.recipe.save_every, self.trainer.step)
        return due and (last or not self.trainer.guard.in_a_row)

    def _save(self) -> None:
        """Begin to write a checkpoint of where the trainer stands."""
        self.reports.journal.flush()
        step = self.trainer.step
        state = {"samples": self.trainer.seen, "data": self.digest}
        sound = not self.trainer.guard.in_a_row  # a run that is not stopped saves no other step
        state["on_time"] = step % self.recipe.save_every == 0 and sound
        self.saver.save(step, self.trainer.tensors(), state)

    def _leave(self, word: int, error: UserError | None) -> None:
        """End where the trainer stands, all that it learnt being on the disk, if that can be."""
        if word != LOST:
            self._settle()
            self._save()
        self._settle(error)

    def _settle(self, error: UserError | None = None) -> None:
        """Wait for what is being written. An error of one process ends all."""
        try:
            self.saver.finish()
        except UserError as failed:
            error = error or failed
        if self.world.most(error is not None):
            raise error or Elsewhere("Another process of this run failed: its message says why.")

    def _go_back(self) -> None:
        """Return to a checkpoint, at first the newest, and go on with half the learning rate."""
        reached, returns = self.trainer.step, int(self.trainer.guard.returns) + 1
        if returns > RETURNS:
            raise UserError(
                f"The loss or its gradient was not finite {PATIENCE} steps in a row before step "
                f"{reached}, after going back {RETURNS} times with half the learning rate each "
                "time. What was saved before is whole: lower --learning-rate, raise --warmup, or "
                "look at the data, and run again to go on from it."
            )
        factor = 0.5 * self.trainer.lowered
        self._settle()
        self._stand_at(self.world.first(lambda: self.disk.back(returns)))
        self.trainer.lower(returns, factor)
        self.close()
        self._set_out()
        self.reports.went_back(reached, self.trainer.lowered)

    def close(self) -> None:
        """End the threads that read ahead."""
        self._stream.close()
