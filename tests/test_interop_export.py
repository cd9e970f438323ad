"""hush's models as folders of diffusers' pipelines: the same pictures of the same noise there."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import hush
from hush import guidance, processes, samplers, schedules
from hush.app.exporting import export
from hush.denoisers import parameterisations
from hush.denoisers.variances import Unit
from hush.errors import UserError
from hush.interop.diffusers import export_pipeline, load_pipeline
from hush.networks import Backbone
from hush.training.run import Run, jsonable
from hush.training.stored import snapshot, stored

diffusers = pytest.importorskip("diffusers")
from pipelines import COUNT, FOLLOWS, SHAPE, ours, stirred, theirs  # noqa: E402


def plain(**options):
    """A small system of hush that can be exported, every weight drawn, on digits' range."""
    settings = {"width": 8, "multipliers": (1, 2), "blocks": 1, "plain": True}
    system = hush.systems.ddpm(SHAPE, backbone=Backbone(**settings), chain=40, **options)
    stirred(system.denoiser.network, 0.2)
    system.codec.fit([torch.tensor([0.0, 1.0])])
    return system


def like(system, **slots):
    """The system with other slots of its denoiser."""
    denoiser = system.denoiser
    kept = {name: getattr(denoiser, name) for name in ("process", "network", "parameterisation")}
    return replace(system, denoiser=type(denoiser)(**{**kept, **slots}))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [40, 8])
def test_what_hush_exports_draws_the_same_there(tmp_path, clip, steps):
    system = plain(clip=clip)
    for scheduler, kind, eta, call in [
        ("ddpm", "DDPMPipeline", 1.0, {}),
        ("ddim", "DDIMPipeline", 0.0, FOLLOWS if clip else {}),
    ]:
        path = tmp_path / scheduler
        export_pipeline(system, path, scheduler)
        pictures = ours(system, sampler=samplers.Ancestral(eta), grid=steps)
        expected = theirs(path, steps, kind, **call)
        torch.testing.assert_close(pictures, expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("says", [parameterisations.V(), parameterisations.Data()], ids=str)
def test_what_the_network_says_and_how_sure_it_is_go_along(tmp_path, says):
    cosine = processes.GaussianProcess(schedules.Tabulated.cosine(40))
    system = like(plain(), process=cosine, parameterisation=says, variance=Unit())
    system = replace(system, sampler=samplers.Ancestral(settle=True))
    export_pipeline(system, tmp_path / "out")
    pictures = ours(system, grid=40)
    torch.testing.assert_close(pictures, theirs(tmp_path / "out", 40), rtol=0.0, atol=1e-5)


def test_both_pipelines_load_either_folder(tmp_path):
    for scheduler in ("ddpm", "ddim"):
        export_pipeline(plain(), tmp_path / scheduler, scheduler)
        for kind in ("DDPMPipeline", "DDIMPipeline"):
            assert theirs(tmp_path / scheduler, 8, kind).shape == (COUNT, *SHAPE)


@pytest.mark.parametrize("scheduler", ["ddpm", "ddim"])
def test_exported_and_loaded_again_nothing_has_changed(tmp_path, scheduler):
    """Bit for bit: weights, motion and pictures."""
    system = plain()
    export_pipeline(system, tmp_path / "out", scheduler)
    again = load_pipeline(tmp_path / "out", steps=8)
    for name, tensor in system.denoiser.network.state_dict().items():
        assert torch.equal(again.denoiser.network.state_dict()[name], tensor)
    assert again.denoiser.process == system.denoiser.process
    assert again.threshold == system.threshold == guidance.Clip()
    pictures = system.sample(COUNT, sampler=again.sampler, grid=8, seed=1)
    assert torch.equal(again.sample(COUNT, seed=1), pictures)
    assert torch.equal(
        again.sample(COUNT, seed=1, grid=4),
        system.sample(COUNT, sampler=again.sampler, grid=4, seed=1),
    )


def test_one_class_is_drawn_of_a_system_with_classes(tmp_path):
    system = plain(classes=("cat", "dog"))
    export_pipeline(system, tmp_path / "dogs", cond="dog")
    pictures = theirs(tmp_path / "dogs", 8)
    dogs, cats = (ours(system, cond=name, grid=8) for name in ("dog", "cat"))
    torch.testing.assert_close(pictures, dogs, rtol=0.0, atol=1e-5)
    assert (cats - dogs).abs().max() > 1e-3
    with pytest.raises(UserError, match=r"choose the one to draw .* of cat, dog"):
        export_pipeline(system, tmp_path / "all")


def unfit(what):
    system = plain()
    if what == "codec":
        system.codec.fit([torch.tensor([0.0, 4.0])])
        return system
    return {
        "dit": lambda: hush.systems.ddpm(SHAPE, backbone=Backbone("dit", width=8, depth=1)),
        "shortcut": lambda: hush.systems.ddpm(SHAPE, backbone=Backbone(width=8)),
        "schedule": lambda: like(system, process=processes.GaussianProcess(schedules.Cosine())),
        "size": lambda: replace(system, task=replace(system.task, shape=(2, 7, 7))),
        "threshold": lambda: replace(system, threshold=guidance.DynamicThreshold()),
        "score": lambda: like(system, parameterisation=parameterisations.Score()),
    }[what]()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("codec", "range from 0 to 1"),
        ("dit", "DiT for Generate"),
        ("shortcut", "shortcut"),
        ("schedule", "Cosine.*no chain"),
        ("size", r"pictures of \(7, 7\)"),
        ("threshold", "DynamicThreshold"),
        ("score", "Score"),
    ],
)
def test_what_cannot_be_exported_is_named(tmp_path, what, words):
    system = unfit(what)
    if what != "codec":
        system.codec.fit([torch.tensor([0.0, 1.0])])
    with pytest.raises(UserError, match=words):
        export_pipeline(system, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_are_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds files"):
        export_pipeline(plain(), tmp_path)
    with pytest.raises(UserError, match=r"no scheduler 'dppm'.*mean ddpm"):
        export_pipeline(plain(), tmp_path, "dppm")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_diffusers_is_not_needed(tmp_path):
    export_pipeline(plain(), tmp_path / "out")
    code = (
        "import sys; sys.modules['diffusers'] = None\n"
        "from hush.interop.diffusers import load_pipeline\n"
        f"load_pipeline({str(tmp_path / 'out')!r}, steps=2).sample(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_writes_a_run(tmp_path, capsys):
    system, out = plain(classes=("cat", "dog")), tmp_path / "out"
    run = Run(tmp_path / "run")
    run.claim({"name": "ddpm", "arguments": jsonable(system.arguments)})
    save_file(snapshot(stored(system.denoiser, system.codec)), run.path / "ema.safetensors")
    with pytest.raises(UserError, match="--class"):
        export([str(run.path), "--out", str(out)])
    words = ["--to", "diffusers", "--out", out, "--class", "dog", "--scheduler", "ddim"]
    export([str(run.path), *map(str, words)])
    assert f"DDIMPipeline.from_pretrained('{out}')(use_clipped" in capsys.readouterr().out
    model = diffusers.DDIMPipeline.from_pretrained(out).unet
    expected = hush.load(run.path).denoiser.network.stem.weight
    assert torch.equal(model.state_dict()["conv_in.weight"], expected)
