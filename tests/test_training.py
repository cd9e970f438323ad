"""The loop, the averaged weights and the run folder: what is stopped goes on, nothing is lost."""

import copy
import errno
import inspect
import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn
from windows import table

from hush import systems
from hush.data import InMemory
from hush.errors import UserError
from hush.evaluation.held_out import held_out_losses
from hush.networks import Backbone
from hush.rng import Streams
from hush.system import Recipe
from hush.systems.index import load
from hush.systems.taken import Taken
from hush.training import saver
from hush.training.ema import EMA
from hush.training.loop import Loop, train
from hush.training.optimiser import learning_rate
from hush.training.progress import Line
from hush.training.run import Run
from hush.training.trainer import Trainer
from hush.world import World

TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.2)
AUTOENCODER = Taken(
    "autoencoder", {"shape": [1, 8, 8], "width": 8, "blocks": 1, "multipliers": [1, 2]}
)
SMALL = {"levels": 17, "chain": 20, "updates": 5, "tasks": ("inpaint", "jpeg")}
SHORT = {
    "batch": 8,
    "learning_rate": 1e-3,
    "warmup": 2,
    "report_every": 2,
    "sample_every": 100,
    "save_every": 4,
    "workers": 1,
    "held_out": 0.2,
    "show": False,
}


@pytest.fixture(scope="module")
def source():
    images = (Streams.of(1, 40).uniform((1, 8, 8)) * 16).round() / 16
    return InMemory(images.float(), torch.arange(40) % 3, levels=17)


def tiny(name="ddpm", **kwargs):
    """A system with a short chain, which draws the pictures of a run in few steps."""
    torch.manual_seed(3)
    system = getattr(systems, name)
    known = inspect.signature(system).parameters
    small = {"classes": ("0", "1", "2"), "backbone": TINY, "autoencoder": AUTOENCODER, **SMALL}
    small |= {"width": 8, "depth": 1, "heads": 2, "states": 8}
    small = {key: value for key, value in small.items() if key in known}
    made = system(kwargs.pop("shape", (1, 8, 8)), **{**small, **kwargs})
    return replace(made, grid=replace(made.grid, steps=4))


def weights(path):
    return safetensors.torch.load_file(path)


def reports(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def contents(out):
    """What an unbroken run and one that was stopped must have in common, byte for byte."""
    files = [*out.glob("*.jsonl"), *out.glob("*.safetensors"), *out.rglob("*.png")]
    files += [file for file in (out / "state").rglob("*") if file.is_file()]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("name", ["ddpm", "improved_ddpm", "vdm", "d3pm", "energy"])
def test_a_stopped_run_goes_on_to_the_very_bytes_of_an_unbroken_one(tmp_path, source, name):
    how = {**SHORT, "sample_every": 5, "log_records": True, "accumulate": 2}
    how |= {"precision": "bf16"} if name == "ddpm" else {}
    train(tiny(name), source, tmp_path / "whole", steps=10, **how)
    for steps in (3, 7, 10):  # neither a multiple of a report nor of a checkpoint
        train(tiny(name), source, tmp_path / "broken", steps=steps, **how)
    whole, broken = contents(tmp_path / "whole"), contents(tmp_path / "broken")
    assert "metrics.jsonl" in whole
    assert "ema.safetensors" in whole
    for name in whole:
        if not name.startswith("state"):  # those of other steps were kept
            assert whole[name] == broken[name], name
    last = [name for name in whole if name.startswith("state/000000010")]
    assert len(last) == 6
    assert all(whole[name] == broken[name] for name in last)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, source):
    """The recipe of a run, and what that run leaves when nobody stops it."""
    recipe = Recipe(steps=4, **{**_recipe(), "sample_every": 2})
    out = tmp_path_factory.mktemp("unbroken") / "run"
    train(tiny(), source, out, recipe, show=False)
    return recipe, contents(out)


@pytest.mark.parametrize("moment", range(12))
def test_a_run_asked_to_stop_at_any_moment_ends_with_the_same_bytes(
    tmp_path, source, unbroken, moment
):
    recipe, whole = unbroken
    run = Run(tmp_path / "run")
    run.claim({"name": "ddpm", "arguments": {}})
    asked = iter(range(1000))
    for stopped in (lambda: next(asked) == moment, lambda: False):  # drawing asks, too
        with Line(4, show=False) as line:
            Loop(Trainer(tiny(), recipe, World()), source, run, line).run(stopped)
    broken = contents(run.path)
    assert all(whole[name] == broken[name] for name in whole if not name.startswith("state"))


def _recipe():
    return {key: value for key, value in SHORT.items() if key != "show"}


def test_accumulating_parts_of_a_batch_gives_the_gradient_of_the_whole(tmp_path, source):
    system = replace(tiny(), denoiser=tiny().denoiser)
    no_dropout = replace(TINY, dropout=0.0)
    made = []
    for accumulate in (1, 4):
        torch.manual_seed(3)
        system = systems.ddpm((1, 8, 8), ("0", "1", "2"), no_dropout)
        out = tmp_path / str(accumulate)
        train(system, source, out, steps=3, accumulate=accumulate, **SHORT)
        made.append(weights(out / "model.safetensors"))
    for name in made[0]:
        torch.testing.assert_close(made[0][name], made[1][name], atol=2e-4, rtol=1e-3)


def test_half_precision_trains_and_the_curves_go_to_tensorboard(tmp_path, source):
    trained = train(tiny(), source, tmp_path / "run", steps=3, precision="bf16", **SHORT)
    assert all(p.dtype == torch.float32 for p in trained.denoiser.parameters())
    assert list((tmp_path / "run" / "tensorboard").rglob("events.*"))


def test_the_average_is_the_weighted_sum_of_all_weights_it_followed():
    module = nn.Linear(1, 1, bias=False)
    average = EMA(copy.deepcopy(module), module, decay=0.3)
    expected = module.weight.item()
    for step in range(6):
        module.weight.data.fill_(float(step * step))
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step * step
        average.update(step)
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert not average.module.weight.requires_grad


def test_the_learning_rate_rises_linearly_then_rests_or_falls_to_zero_by_a_half_cosine():
    recipe = Recipe(steps=110, learning_rate=1.0, warmup=10)
    assert [learning_rate(s, recipe) for s in (0, 4, 9, 10, 109)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    falling = replace(recipe, decay="cosine")
    assert learning_rate(60, falling) == pytest.approx(0.5)
    assert learning_rate(110, falling) == pytest.approx(0.0, abs=1e-12)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path, source, capsys):
    out = tmp_path / "run"
    train(tiny(), source, out, steps=8, **SHORT)
    newest = out / "state" / "000000008" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 255
    newest.write_bytes(content)
    train(tiny(), source, out, steps=8, **{**SHORT, "show": True})
    assert "is damaged" in capsys.readouterr().err
    assert (out / "state" / "damaged-000000008").is_dir()
    train(tiny(), source, tmp_path / "whole", steps=8, **SHORT)
    assert same(weights(out / "model.safetensors"), weights(tmp_path / "whole/model.safetensors"))


def test_with_no_whole_checkpoint_left_nothing_is_overwritten(tmp_path, source):
    out = tmp_path / "run"
    train(tiny(), source, out, steps=2, **SHORT)
    for file in (out / "state").glob("*/optimiser.safetensors"):
        file.write_bytes(b"half")
    with pytest.raises(UserError, match="No whole checkpoint is left"):
        train(tiny(), source, out, steps=4, **SHORT)
    assert (out / "model.safetensors").exists()


def test_a_full_disk_ends_in_a_sentence_and_what_was_saved_stays(tmp_path, source, monkeypatch):
    out = tmp_path / "run"
    train(tiny(), source, out, steps=4, **SHORT)
    before = weights(out / "model.safetensors")

    def full(tensors, path):
        path.write_bytes(b"the first few bytes")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saver.safetensors.torch, "save_file", full)
        with pytest.raises(UserError, match=r"No space left on device.*Everything saved before"):
            train(tiny(), source, out, steps=8, **SHORT)
    assert same(weights(out / "model.safetensors"), before)
    assert Run(out).checkpoints() == [0, 4]
    assert not list(out.rglob(".*partial"))
    train(tiny(), source, out, steps=8, **SHORT)  # room was made: it goes on


def test_data_that_break_half_way_cost_nothing_that_was_learnt(tmp_path, source):
    class Breaking(InMemory):
        def read(self, indices, draws=None):
            if draws is not None and self.left == 0:
                raise UserError("photo.png cannot be read")
            self.left -= draws is not None
            return super().read(indices, draws)

    broken = Breaking(source.images, source.labels, source.classes, source.levels)
    broken.left, out = 7, tmp_path / "run"
    with pytest.raises(UserError, match=r"photo\.png cannot be read"):
        train(tiny(), broken, out, steps=20, **{**SHORT, "workers": 0})
    assert Run(out).checkpoints()[-1] == 7
    train(tiny(), source, out, steps=8, **SHORT)
    train(tiny(), source, tmp_path / "whole", steps=8, **SHORT)
    assert same(weights(out / "model.safetensors"), weights(tmp_path / "whole/model.safetensors"))


def test_a_report_cut_off_while_written_is_made_again(tmp_path, source):
    out = tmp_path / "run"
    train(tiny(), source, out, steps=4, **SHORT)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "los')
    train(tiny(), source, out, steps=6, **SHORT)
    assert [r["step"] for r in reports(out) if "loss" in r] == [2, 4, 6]


def test_only_the_newest_checkpoints_stay(tmp_path, source):
    train(tiny(), source, tmp_path / "run", steps=16, **SHORT)
    assert Run(tmp_path / "run").checkpoints() == [12, 16]


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda out, source: train(tiny("edm"), source, out, steps=1, **SHORT), "a run of edm"),
        (
            lambda out, source: train(tiny(chain=50), source, out, steps=1, **SHORT),
            "begun with chain = 50, not 20",
        ),
        (lambda out, source: _file(out / "photo.txt"), "already holds other files"),
        (lambda out, source: _file(out), "already holds other files"),
        (lambda out, source: _file(out / "system.json", "[]"), "cannot be read as the record"),
        (lambda out, source: _file(out / "system.json", "{"), "cannot be read as the record"),
    ],
)
def test_a_folder_that_is_not_this_run_is_refused_untouched(tmp_path, source, prepare, sentence):
    out = tmp_path / "run"
    prepare(out, source)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=sentence):
        train(tiny(), source, out, steps=2, **SHORT)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _file(path, text="mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_data_of_another_shape_and_impossible_batches_are_refused(tmp_path, source):
    other = InMemory(torch.rand(10, 1, 9, 8))
    with pytest.raises(UserError, match=r"\(1, 9, 8\).*expects \(1, 8, 8\)"):
        train(tiny(), other, tmp_path / "run", steps=1, **SHORT)
    with pytest.raises(UserError, match="8 cannot be computed in 3 equal parts"):
        train(tiny(), source, tmp_path / "run", steps=1, accumulate=3, **SHORT)
    for wrong in ({"learning_rate": float("nan")}, {"steps": 0}, {"ema": 1.0}, {"batch": -1}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            train(tiny(), source, tmp_path / "run", **{"steps": 1, **SHORT, **wrong})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in systems.index.TABLE if name != "analytic_dpm"])
def test_a_loaded_run_draws_what_the_trained_system_draws(tmp_path, source, name):
    if systems.TABLE[name].data == "series":
        source = table(tmp_path)
    system = tiny(name, shape=source.shape)
    trained = train(system, source, tmp_path / "run", steps=3, **SHORT)
    loaded = load(tmp_path / "run")
    assert loaded.arguments == trained.arguments
    given = next(iter(source.read([0, 1]).values()))
    cond = given if trained.task.asks else "1" if trained.task.classes else None
    drawn = [system.sample(4, cond=cond, grid=3, seed=5) for system in (trained, loaded)]
    assert torch.equal(*drawn)
    if int(trained.codec.levels):  # 0 of an autoencoder that has measured nothing
        assert torch.equal(drawn[0], (drawn[0] * 16).round() / 16)  # on the data's own levels


def test_loading_what_is_not_a_whole_run_says_what_is_wrong(tmp_path, source):
    with pytest.raises(UserError, match=r"is not a run: it has no system\.json"):
        load(tmp_path)
    out = tmp_path / "run"
    train(tiny(), source, out, steps=1, **SHORT)
    good = (out / "ema.safetensors").read_bytes()
    (out / "ema.safetensors").unlink()
    with pytest.raises(UserError, match=r"ema\.safetensors is missing"):
        load(out)
    (out / "ema.safetensors").write_bytes(good[: len(good) // 2])
    with pytest.raises(UserError, match="is damaged"):
        load(out)
    wider = replace(TINY, width=16)
    train(systems.ddpm((1, 8, 8), ("0", "1", "2"), wider), source, tmp_path / "w", steps=1, **SHORT)
    (out / "ema.safetensors").write_bytes((tmp_path / "w" / "ema.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"does not fit the system its run names: .* has shape"):
        load(out)
    record = json.loads((out / "system.json").read_text())
    (out / "system.json").write_text(json.dumps({**record, "name": "ddpn"}))
    with pytest.raises(UserError, match="no system 'ddpn': did you mean ddpm"):
        load(out)


def test_held_out_losses_compare_weights_and_nothing_else(source):
    system = tiny()
    system.codec.fit([source.images])
    first, again = (held_out_losses(system, source, seed=2) for _ in range(2))
    assert first == again
    assert len(first) == 8
    # A network that answers zero has the loss of the noise itself: about one at every level.
    assert all(loss == pytest.approx(1.0, abs=0.35) for loss in first.values())


def test_a_walk_keeps_no_graph_of_what_it_computed():
    assert not any(state.x.requires_grad for state in tiny().walk(2, grid=3))


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_half_precision_that_is_only_imitated_is_told_of(
    precision, source, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("hush.training.reports.suits", lambda asked, device: asked == "no")
    given = {**SHORT, "show": True, "steps": 1, "precision": precision}
    train(tiny(), source, tmp_path / "run", **given)
    said = " ".join(capsys.readouterr().err.split())
    assert ("has no bf16 arithmetic" in said) == (precision == "bf16")
