"""What would spoil a run is not learnt from: steps are skipped, counted, and if need be undone."""

import json
from dataclasses import dataclass, replace
from itertools import islice

import pytest
import torch

from hush import systems
from hush.data import InMemory, batches, split
from hush.errors import UserError
from hush.networks import Backbone
from hush.networks.precision import TYPES, lowered
from hush.objectives import Denoising
from hush.rng import Streams
from hush.system import Recipe
from hush.training.guard import LARGEST, SOUND, Guard
from hush.training.loop import Loop, train
from hush.training.optimiser import packed
from hush.training.progress import Line
from hush.training.run import Run
from hush.training.trainer import Trainer
from hush.world import World

RECIPE = Recipe(
    steps=40,
    batch=8,
    learning_rate=1e-3,
    warmup=1,
    report_every=5,
    sample_every=100,
    save_every=7,
    held_out=0.2,
    workers=0,
    log_records=True,
)


@dataclass(frozen=True, kw_only=True)
class Poisoned(Denoising):
    """A loss that is spoilt in the way `how` at the samples of some steps, if the last weights of
    the network are larger than `beyond`."""

    steps: range = range(0)
    how: str = "nan"
    beyond: float = -1.0

    def __call__(self, denoiser, x_0, rng, cond=None, mask=None):
        loss = super().__call__(denoiser, x_0, rng, cond, mask)
        bad = torch.tensor([int(i) // RECIPE.batch in self.steps for i in rng.index])
        if not bad.any() or size(denoiser) <= self.beyond:
            return loss
        if self.how == "gradient":  # of √0 it is infinite, times 0
            return loss + (bad * loss * 0.0).sqrt()
        return torch.where(bad, torch.tensor(float(self.how)), loss)


def rare(*often, others):
    """Parameters, the `others` of which are left out of the ordinary suite."""
    return [*often, *(pytest.param(value, marks=pytest.mark.faults) for value in others)]


def size(denoiser):
    *_, last = (p for p in denoiser.parameters() if p.ndim > 1)
    return float(last.detach().norm())


def source():
    images = (Streams.of(1, 40).uniform((1, 4, 4)) * 16).round() / 16
    return InMemory(images.float(), torch.arange(40) % 3, levels=17)


def model(**poison):
    torch.manual_seed(3)
    network = Backbone(width=4, multipliers=(1,), blocks=1, attention=(), dropout=0.2)
    made = systems.ddpm((1, 4, 4), ("0", "1", "2"), network)
    return replace(made, objective=Poisoned(**poison))


def trainer(recipe=RECIPE, **poison):
    made = Trainer(model(**poison), recipe, World(device=torch.device("cpu")))
    made.codec.fit([same_data().read(range(32))["image"]], 17)
    return made


def batch(step):
    indices = [(8 * step + i) % 40 for i in range(8)]
    return {**source().read(indices), "index": torch.tensor(indices)}


def held(trained):
    """All that a step may change: weights, and what the optimiser remembers."""
    tensors = {**trained.denoiser.state_dict(), **packed(trained.adam, trained.denoiser)}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def same_data():
    """The records a run learns from."""
    return split(source(), RECIPE.held_out, seed=RECIPE.seed)[0]


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def contents(out):
    files = [*out.glob("*.jsonl"), *out.glob("*.safetensors"), *out.rglob("*.png")]
    files += [*(out / "state" / f"{RECIPE.steps:09d}").iterdir()]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.mark.parametrize("how", ["nan", "inf", "-inf", "gradient"])
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_step_that_is_not_finite_changes_nothing(how, precision):
    poisoned, recipe = range(10, 12), replace(RECIPE, precision=precision)
    made = trainer(recipe, steps=poisoned, how=how)
    with lowered(made.denoiser.network, precision, torch.device("cpu")):
        for step in range(14):
            before = held(made)
            made.learn(batch(step))
            if step > 7:  # by then half precision has found its scale
                assert same(before, held(made)) is (step in poisoned), step
                assert bool(made.losses[-1].isnan()) is (step in poisoned)  # as reports tell it
    assert int(made.guard.in_a_row) == 0
    assert all(torch.isfinite(tensor).all() for tensor in held(made).values())


@pytest.mark.parametrize("accumulate", [1, 4])
def test_one_sample_that_is_not_finite_spoils_its_whole_step_and_no_other(accumulate):
    made = trainer(replace(RECIPE, accumulate=accumulate), steps=range(1, 2))
    clean = trainer(replace(RECIPE, accumulate=accumulate))
    for taken in (made, clean):
        taken.learn(batch(0))
    assert same(held(made), held(clean))
    made.learn(batch(1))
    assert same(held(made), held(clean))
    assert made.seen == clean.seen + 8


@pytest.mark.parametrize("how", ["nan", "gradient"])
def test_skipped_steps_are_reported(tmp_path, how):
    train(model(steps=range(11, 14), how=how), source(), tmp_path / "run", RECIPE, show=False)
    lines = metrics(tmp_path / "run")
    assert {line["step"]: line["skipped"] for line in lines if "skipped" in line} == {15: 3}
    assert all(line["loss"] < float("inf") for line in lines if "loss" in line)


@pytest.fixture(scope="module")
def falling(tmp_path_factory):
    """A poison that a run at the full rate takes in, from step 20 on, and one at half of it does
    not until the poison is used up; with what the unbroken run that meets it leaves behind."""
    clean, sizes = trainer(), []
    for step in range(21):
        sizes.append(size(clean.denoiser))
        clean.learn(batch(step))
    assert sizes[20] > sizes[14]
    poison = {"steps": range(20, 31), "beyond": 0.25 * sizes[14] + 0.75 * sizes[20]}
    out = tmp_path_factory.mktemp("falling") / "run"
    train(model(**poison), source(), out, RECIPE, show=False)
    return poison, contents(out)


def test_ten_in_a_row_send_a_run_back_with_half_the_rate(tmp_path, falling, capsys):
    out = tmp_path / "run"
    train(model(**falling[0]), source(), out, RECIPE, show=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "step 30: the loss or its gradient was not finite many steps in a row." in said
    assert "Back to step 14, and on with 0.5 of the learning rate." in said
    lines = metrics(out)
    back = [line for line in lines if "went_back_from" in line]
    assert back == [{"step": 14, "went_back_from": 30, "rate": 0.5}]
    rates = {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}
    assert rates == {step: 1e-3 if step <= 10 else 5e-4 for step in range(5, 41, 5)}
    assert contents(out) == falling[1]


class Killed(BaseException):
    """Nobody catches it: what is not on the disk yet is lost."""


class Dying(InMemory):
    """Data whose reader is killed at its batch number `last`, of one life."""

    def __init__(self, last):
        whole = source()
        super().__init__(whole.images, whole.labels, whole.classes, whole.levels)
        self.left = last

    def read(self, indices, draws=None):
        if draws is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return super().read(indices, draws)


@pytest.mark.parametrize("last", rare(24, 37, others=(16, 29, 30, 31, 34, 39, 45, 55)))
def test_a_run_that_went_back_and_was_killed_goes_on_the_same(tmp_path, falling, last):
    poison, whole = falling
    with pytest.raises(Killed):
        train(model(**poison), Dying(last), tmp_path / "run", RECIPE, show=False)
    train(model(**poison), source(), tmp_path / "run", RECIPE, show=False)
    assert contents(tmp_path / "run") == whole


@pytest.mark.parametrize("moment", rare(17, 28, others=(10, 22, 35, 50)))
def test_a_run_that_went_back_and_was_stopped_goes_on_the_same(tmp_path, falling, moment):
    poison, whole = falling
    run, asked = Run(tmp_path / "run"), iter(range(10**6))
    run.claim({"name": "ddpm", "arguments": {}})
    for stopped in (lambda: next(asked) == moment, lambda: False):
        with Line(40, show=False) as line:
            Loop(trainer(**poison), source(), run, line).run(stopped)
    assert contents(run.path) == whole


def test_a_run_that_only_falls_ends_in_a_sentence_and_keeps_what_was_saved(tmp_path):
    out, poison = tmp_path / "run", {"steps": range(20, 10**6)}
    for _ in range(2):  # the second begins from what the first has left
        with pytest.raises(UserError, match=r"10 steps in a row .* after going back 4 times"):
            train(model(**poison), source(), out, RECIPE, show=False)
        step = Run(out).newest(print)
        made = trainer()
        made.restore(Run(out).folder(step), step, Run(out).state(step)["samples"])
        assert 0 < step <= 20
        assert all(torch.isfinite(tensor).all() for tensor in held(made).values())
    train(model(), source(), out, replace(RECIPE, learning_rate=1e-4), show=False)  # as it says
    assert Run(out).checkpoints()[-1] == 40


def test_the_scale_of_half_precision_halves_at_once_and_doubles_when_it_was_long_sound():
    guard, one = Guard(half=True), torch.ones(())
    assert float(guard.scale) == LARGEST
    for halved in (1, 2, 3):
        guard.weigh(one, one * float("inf"), 1.0)
        assert float(guard.scale) == LARGEST / 2**halved
    for now in (LARGEST / 8, LARGEST / 4, LARGEST / 2, LARGEST):
        for _ in range(SOUND - 1):
            guard.weigh(one, one, 1.0)
        assert float(guard.scale) == now
        guard.weigh(one, one, 1.0)
        assert float(guard.scale) == min(LARGEST, 2 * now)
    for _ in range(40):
        guard.weigh(one * float("nan"), one, 1.0)
    assert float(guard.scale) == 1.0


def test_a_full_precision_run_is_never_scaled():
    guard = Guard()
    guard.weigh(torch.tensor(float("nan")), torch.ones(()), 1.0)
    assert float(guard.scale) == 1.0


@pytest.mark.parametrize("norm", [0.0, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("half", [True, False])
def test_the_norm_that_is_left_is_at_most_the_clip(norm, half):
    guard = Guard(half)
    scale = float(guard.scale)
    divisor, skip = guard.weigh(torch.ones(()), torch.tensor(norm) * scale, 0.5)
    assert float(norm * scale / divisor) == pytest.approx(min(norm, 0.5), rel=1e-6)
    assert float(skip) == 0.0


def test_half_precision_saves_and_restores_its_scale_and_ends_the_same(tmp_path):
    poison, recipe = {"steps": range(9, 11)}, replace(RECIPE, steps=20, precision="fp16")
    train(model(**poison), source(), tmp_path / "whole", recipe, show=False)
    with pytest.raises(Killed):
        train(model(**poison), Dying(16), tmp_path / "run", recipe, show=False)
    made, same_made = trainer(recipe), trainer(recipe, **poison)
    made.restore(Run(tmp_path / "run").folder(14), 14, 112)
    with lowered(same_made.denoiser.network, "fp16", torch.device("cpu")):
        for record in islice(batches(same_data(), 8, RECIPE.seed), 14):
            same_made.learn(record)
    skipped = sum(int(loss.isnan()) for loss in same_made.losses)
    assert float(made.guard.scale) == LARGEST / 2**skipped < LARGEST
    assert made.guard.state_dict() == same_made.guard.state_dict()
    train(model(**poison), source(), tmp_path / "run", recipe, show=False)
    for name in ("metrics.jsonl", "model.safetensors", "ema.safetensors"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "run" / name).read_bytes() == whole


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_only_the_network_computes_in_lower_precision(precision):
    inside, outside = set(), set()

    @dataclass(frozen=True, kw_only=True)
    class Spied(Denoising):
        def judge(self, process, belief, x_0, x_t, level, mask=None):
            loss = super().judge(process, belief, x_0, x_t, level, mask)
            outside.update(tensor.dtype for tensor in (x_0, x_t, belief.mean, loss))
            return loss

    made = Trainer(
        replace(model(), objective=Spied()), replace(RECIPE, precision=precision), World()
    )
    made.codec.fit([source().images], 17)
    for part in made.denoiser.network.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda part, given, answer: inside.add(answer.dtype))
    with lowered(made.denoiser.network, precision, torch.device("cpu")):
        made.learn(batch(0))
    assert inside == {TYPES.get(precision, torch.float32)}
    assert outside == {torch.float32}
    assert {tensor.dtype for tensor in held(made).values()} == {torch.float32}
