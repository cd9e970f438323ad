"""One run on many processes: what they learn, save and say together is what one would alone."""

import errno
import inspect
import io
import json
import os
import signal
import time
from contextlib import redirect_stdout
from unittest import mock

import numpy as np
import pytest
import torch
import torch.distributed as dist
from crew import Crew, together
from PIL import Image

from hush import systems
from hush.app import cli
from hush.data import InMemory, digits, indices_at
from hush.errors import Elsewhere, UserError
from hush.evaluation import likelihood
from hush.networks import Backbone
from hush.rng import Streams
from hush.systems.index import load
from hush.systems.taken import Taken
from hush.training import files, saver
from hush.training.loop import train
from hush.training.run import Run
from hush.world import joined

TINY = Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.2)
SHORT = {
    "batch": 12,
    "learning_rate": 1e-3,
    "warmup": 2,
    "report_every": 1,
    "sample_every": 100,
    "save_every": 4,
    "workers": 1,
    "held_out": 0.2,
    "log_records": True,
    "show": False,
}


def pictures():
    images = (Streams.of(1, 40).uniform((1, 8, 8)) * 16).round() / 16
    return InMemory(images.float(), torch.arange(40) % 3, levels=17)


def tiny(name="ddpm", **settings):
    torch.manual_seed(3)
    system = getattr(systems, name)
    if "levels" in inspect.signature(system).parameters:
        settings = {"levels": 17, **settings}
    return system((1, 8, 8), ("0", "1", "2"), TINY, **settings)


def learn(out, how, name="ddpm", settings=None, source=None):
    """Train a tiny system in `out`."""
    train(tiny(name, **(settings or {})), source or pictures(), out, **{**SHORT, **how})


def learn_twice(whole, shard, how, *system):
    with joined():  # the same group for both
        learn(whole, how, *system)
        learn(shard, {**how, "shard": True}, *system)


def figures(out):
    """The names and the numbers of all that a run has written, in their order."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [name for line in lines for name in line], [x for line in lines for x in line.values()]


def drawn(out):
    return np.asarray(Image.open(*out.glob("samples/*.png")))


@pytest.mark.parametrize(
    ("name", "settings", "how"),
    [
        ("ddpm", {}, {"accumulate": 2}),
        ("improved_ddpm", {"loss": "bound", "chain": 4}, {"steps": 10}),  # its times learn, too
        ("vdm", {}, {}),
        ("d3pm", {"chain": 20}, {"accumulate": 3}),
    ],
)
def test_two_processes_learn_from_the_same_what_one_does(tmp_path, name, settings, how):
    alone, *both = (tmp_path / part for part in ("alone", "whole", "shard"))
    how = {"steps": 4, **how}
    learn(alone, how, name, settings)
    together(2, learn_twice, *both, how, name, settings)
    names, numbers = figures(alone)
    for out in both:
        assert (out / "records.jsonl").read_text() == (alone / "records.jsonl").read_text()
        assert figures(out) == (names, pytest.approx(numbers, rel=1e-5))
        assert (drawn(out) != drawn(alone)).mean() < 0.01  # on their grey levels


def learn_latents(out, first, how):
    torch.manual_seed(3)
    system = systems.ldm((1, 8, 8), ("0", "1", "2"), Taken.of(first), TINY, chain=20)
    train(system, pictures(), out, **{**SHORT, "steps": 4, **how})


def learn_latents_twice(whole, shard, first):
    with joined():
        learn_latents(whole, first, {})
        learn_latents(shard, first, {"shard": True})


def test_two_processes_learn_from_the_latents_of_another_run_what_one_does(tmp_path):
    first, alone, *both = (tmp_path / part for part in ("first", "alone", "whole", "shard"))
    torch.manual_seed(3)
    autoencoder = systems.autoencoder((1, 8, 8), width=8, multipliers=(1, 2), blocks=1, latent=3)
    train(autoencoder, pictures(), first, **SHORT, steps=2)
    learn_latents(alone, first, {})
    together(2, learn_latents_twice, *both, first)
    names, numbers = figures(alone)
    taken = load(first).denoiser.network.state_dict()
    for out in both:
        assert figures(out) == (names, pytest.approx(numbers, rel=1e-5))
        assert (drawn(out) != drawn(alone)).mean() < 0.01
        kept = load(out).codec.autoencoder.state_dict()
        assert all(kept[name].equal(was) for name, was in taken.items())  # it is not taught again


def test_a_run_goes_on_with_any_number_of_processes_as_if_never_stopped(tmp_path):
    learn(tmp_path / "unbroken", {"steps": 8})
    out = tmp_path / "run"
    together(2, learn, out, {"steps": 2, "shard": True})
    learn(out, {"steps": 4})
    together(2, learn, out, {"steps": 5})
    together(3, learn, out, {"steps": 7, "shard": True})
    together(2, learn, out, {"steps": 8, "shard": True})
    names, numbers = figures(tmp_path / "unbroken")
    assert figures(out) == (names, pytest.approx(numbers, rel=1e-4))
    assert (out / "records.jsonl").read_text() == (
        tmp_path / "unbroken" / "records.jsonl"
    ).read_text()


def test_with_another_batch_a_run_goes_on_where_the_data_stood(tmp_path):
    out = tmp_path / "run"
    learn(out, {"steps": 2, "batch": 12})
    together(2, learn, out, {"steps": 4, "batch": 8})
    learn(out, {"steps": 5, "batch": 24})
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert [len(line["records"]) for line in lines] == [12, 12, 8, 8, 24]
    row, _ = indices_at(0, 64, count=32, seed=0)  # 8 of the 40 are held out
    assert [record for line in lines for record in line["records"]] == row


def test_a_damaged_part_of_a_checkpoint_sets_it_aside_for_all(tmp_path):
    out, how = tmp_path / "run", {"steps": 8, "shard": True}
    together(2, learn, out, how)
    folder = Run(out).folder(8)
    sums = json.loads((folder / "checksums.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*sums, "checksums.json"}
    assert len(sums) == 8  # model, ema and optimiser of each, loop and state of the main one
    assert all(files.checksum(folder / name) == value for name, value in sums.items())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    part = folder / "optimiser-00001-of-00002.safetensors"
    part.write_bytes(before[part.name][:-1] + b"?")
    together(2, learn, out, how)
    assert (out / "state" / "damaged-000000008").is_dir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


class Breaking(InMemory):
    """Pictures, until the fourth batch of process 1."""

    reads = 0

    def read(self, indices, draws=None):
        self.reads += draws is not None
        if self.reads == 4 and os.environ["RANK"] == "1":
            raise UserError("photo.png cannot be read")
        return super().read(indices, draws)


def learn_from_breaking(out, how):
    whole = pictures()
    source = Breaking(whole.images, whole.labels, whole.classes, whole.levels)
    learn(out, {**how, "workers": 0}, source=source)


def learn_on_a_disk_that_fills(out, how):
    def full(tensors, path):
        if len(list(out.glob("state/[0-9]*"))) == 1 and os.environ["RANK"] in how["ranks"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(tensors, path)

    save, saver.safetensors.torch.save_file = saver.safetensors.torch.save_file, full
    learn(out, how["how"])


@pytest.mark.parametrize("shard", [False, True], ids=["whole", "shard"])
def test_data_that_break_on_one_process_end_all_and_cost_nothing(tmp_path, shard):
    found = together(2, learn_from_breaking, tmp_path / "run", {"steps": 9, "shard": shard})
    assert all(isinstance(error, UserError) for error in found)
    assert isinstance(found[0], Elsewhere)
    assert "photo.png cannot be read" in str(found[1])
    assert Run(tmp_path / "run").newest(print) == 3


@pytest.mark.parametrize(("shard", "full"), [(False, "0"), (True, "0"), (True, "1")])
def test_a_disk_full_on_one_process_ends_all_in_a_sentence(tmp_path, shard, full):
    out, how = tmp_path / "run", {"steps": 9, "save_every": 3, "shard": shard}
    found = together(2, learn_on_a_disk_that_fills, out, {"how": how, "ranks": full})
    assert all(isinstance(error, UserError) for error in found)
    assert "No space left on device" in str(found[int(full)])
    assert Run(out).checkpoints() == [0]
    assert not list(out.rglob(".*partial"))
    learn(out, how)  # room was made: it goes on
    assert Run(out).newest(print) == 9


def refused(out):
    """The sentences of what many processes cannot do."""
    said = []
    for how, name in (({"batch": 9}, "ddpm"), ({"shard": True}, "energy")):
        with pytest.raises(UserError) as caught:
            learn(out, {"steps": 1, **how}, name)
        said.append(str(caught.value))
    return said


def test_what_processes_cannot_share_is_refused_by_all(tmp_path):
    for batch, energy in together(2, refused, tmp_path / "run"):
        assert "A batch of 9 cannot be shared by 2 processes" in batch
        assert "energy takes gradients inside its network, which --shard cannot do" in energy
    assert not (tmp_path / "run").exists()


def hasty():
    """When this process was among the others, the first of them slower than the rest, and when it
    could leave them."""
    joins, moments = dist.init_process_group, []

    def slow(*args, rank, **kwargs):
        joins(*args, rank=rank, **kwargs)
        time.sleep(0.0 if rank else 0.3)
        moments.append(time.monotonic())

    with mock.patch.object(dist, "init_process_group", slow), joined():
        moments.append(time.monotonic())
    return moments


def test_nobody_leaves_before_all_have_joined():
    among, left = zip(*together(3, hasty), strict=True)
    assert max(among) <= min(left)


@pytest.mark.parametrize("shard", [False, True], ids=["whole", "shard"])
@pytest.mark.parametrize("asked", [(1,), (1, 0)])
def test_processes_asked_to_stop_at_different_moments_stop_at_one_step(tmp_path, asked, shard):
    out = tmp_path / "run"
    endless = {"steps": 10**6, "save_every": 10**6, "sample_every": 10**6, "shard": shard}
    crew = Crew(2, learn, out, endless)
    deadline = time.monotonic() + 50
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    for rank in asked:
        os.kill(crew.processes[rank].pid, signal.SIGTERM)
        time.sleep(0.03)
    assert crew.results() == [None, None]
    step = Run(out).newest(print)
    assert len((out / "records.jsonl").read_text().splitlines()) == step > 0
    learn(out, {"steps": step + 1})
    assert Run(out).newest(print) == step + 1


def said(*lines):
    """What commands print."""
    with redirect_stdout(io.StringIO()) as out:
        for line in lines:
            cli.run(line.split())
    return out.getvalue()


def measured(run):
    """The likelihood of few records."""
    with joined() as world:
        return likelihood(load(run), pictures(), steps=5, world=world)


def test_many_processes_draw_and_measure_what_one_does(tmp_path):
    run = tmp_path / "run"
    train(tiny_of_digits(), digits(), run, **{**SHORT, "steps": 2})
    lines = [
        "sample {run} --count 9 --seed 7 --out {out}/a --steps 4 --trace",
        "sample {run} --count 5 --batch 4 --seed 7 --out {out}/b --steps 4 --guidance 2",
        "evaluate {run} --data digits --count 20 --steps 5 --samples 0",
        "evaluate {run} --data digits --count 1 --method continuous --draws 2 --samples 0",
    ]
    one, three = (
        [line.format(run=run, out=tmp_path / out) for line in lines] for out in ("one", "three")
    )
    alone = said(*one)
    first, *others = together(3, said, *three)
    assert first == alone.replace(str(tmp_path / "one"), str(tmp_path / "three"))
    assert others == ["", ""]
    for path in tmp_path.glob("one/*/*"):
        assert path.read_bytes() == (tmp_path / "three" / path.parent.name / path.name).read_bytes()
    assert len(list(tmp_path.glob("three/*/*"))) == len(list(tmp_path.glob("one/*/*"))) == 17


def tiny_of_digits():
    torch.manual_seed(3)
    return systems.ddpm((1, 8, 8), digits().classes, TINY, chain=20)


def test_a_likelihood_shared_by_processes_is_the_one_of_a_single_one(tmp_path):
    learn(tmp_path / "run", {"steps": 1})
    alone = measured(tmp_path / "run")
    for shared in together(3, measured, tmp_path / "run"):
        assert shared.count == 40
        assert (shared.bits, shared.error, shared.prior, shared.data) == pytest.approx(
            (alone.bits, alone.error, alone.prior, alone.data), rel=1e-6
        )
        assert np.array(shared.profile) == pytest.approx(np.array(alone.profile), rel=1e-6)
