"""Folders of diffusers' pipelines: the same pictures of the same noise in hush."""

import json

import pytest
import torch

from hush.errors import UserError
from hush.interop.diffusers import load_pipeline
from hush.networks import Labels

diffusers = pytest.importorskip("diffusers")
from pipelines import DDPM, FOLLOWS, SMALL, folder, ours, theirs  # noqa: E402


def ddpm(**options):
    """DDPM's on a short chain whose first step is not lost in their float32, 1 - (1 - β)."""
    return diffusers.DDPMScheduler(40, beta_start=0.01, beta_end=0.1, **options)


@pytest.mark.parametrize(
    ("scheduler", "call"),
    [
        ({"clip_sample": False}, {}),
        ({}, FOLLOWS),
        ({"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}, FOLLOWS),
        ({"set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "sample"}, FOLLOWS),
    ],
    ids=str,
)
def test_ddim_draws_the_same_here(tmp_path, scheduler, call):
    path = folder(tmp_path, diffusers.DDIMScheduler(num_train_timesteps=40, **scheduler), **DDPM)
    pictures = ours(load_pipeline(path, steps=8))
    expected = theirs(path, 8, "DDIMPipeline", **call)
    assert expected.std() > 0.02
    torch.testing.assert_close(pictures, expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_small_log", "fixed_large"])
@pytest.mark.parametrize("steps", [40, 8])
def test_ddpm_draws_the_same_here(tmp_path, variance, steps):
    scheduler = ddpm(variance_type=variance)
    path = folder(tmp_path, scheduler)
    pictures = ours(load_pipeline(path, steps))
    torch.testing.assert_close(pictures, theirs(path, steps), rtol=0.0, atol=1e-5)


def test_a_learned_variance_draws_the_same_here(tmp_path):
    scheduler = ddpm(variance_type="learned_range")
    path = folder(tmp_path, scheduler, out_channels=4)
    torch.testing.assert_close(ours(load_pipeline(path)), theirs(path, 40), rtol=0.0, atol=1e-5)
    with pytest.raises(UserError, match="take all 40"):
        load_pipeline(path, steps=8)


def test_their_variances_are_not_one():
    """The test above can tell them apart."""
    names = ("fixed_small", "fixed_large")
    small, large = (ddpm(variance_type=name)._get_variance(20) for name in names)
    assert large / small > 1.02


def test_classes_that_their_pipelines_do_not_draw(tmp_path):
    """hush asks such a network for a class; its last one may be "no class"."""
    path = folder(tmp_path, diffusers.DDIMScheduler(num_train_timesteps=8), num_class_embeds=3)
    system = load_pipeline(path)
    assert system.task.classes == ("0", "1", "2")
    named = load_pipeline(path, classes=("cat", "dog"))
    assert isinstance(named.denoiser.network.embedding.condition, Labels)
    assert torch.equal(named.sample(2, "dog", seed=1), system.sample(2, "1", seed=1))
    assert not torch.equal(
        named.sample(2, "dog", seed=1, guidance=3.0), named.sample(2, "dog", seed=1)
    )
    with pytest.raises(UserError, match="never without a class"):
        system.sample(2, "1", guidance=3.0)
    with pytest.raises(UserError, match="4 classes were named, the network has 3"):
        load_pipeline(path, classes="abcd")


def test_older_folders_are_flat(tmp_path):
    path = folder(tmp_path, diffusers.DDIMScheduler(num_train_timesteps=8, clip_sample=False))
    pictures = load_pipeline(path).sample(2, seed=1)
    for part in ("unet", "scheduler"):
        for file in (path / part).iterdir():
            file.rename(path / file.name)
        (path / part).rmdir()
    assert torch.equal(load_pipeline(path).sample(2, seed=1), pictures)
    expected = theirs(path, 8, "DDIMPipeline")
    torch.testing.assert_close(ours(load_pipeline(path)), expected, rtol=0.0, atol=1e-5)


def test_defaults_of_steps(tmp_path):
    path = folder(tmp_path / "ddpm", diffusers.DDPMScheduler(num_train_timesteps=60))
    assert load_pipeline(path).grid.steps == 60
    path = folder(tmp_path / "ddim", diffusers.DDIMScheduler(num_train_timesteps=60))
    assert load_pipeline(path).grid.steps == 50


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model_index.json", None, "model_index.json is missing.*save_pretrained"),
        ("model_index.json", "{", "model_index.json cannot be read"),
        ("model_index.json", "[]", "it is no dictionary"),
        ("model_index.json", '{"vae": ["diffusers", "VQModel"]}', "lists .*VQModel.*such as DDPM"),
        ("unet/config.json", None, "config.json is missing"),
        ("scheduler/scheduler_config.json", '{"_class_name": "Nobody"}', "no scheduler 'Nobody'"),
        ("unet/diffusion_pytorch_model.safetensors", "x", "is damaged"),
        ("unet/diffusion_pytorch_model.safetensors", None, "has config.json, old.bin.*Pickles"),
        ("unet/config.json", json.dumps({**SMALL, "sample_size": None}), "sample_size = None"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, file, content, words):
    folder(tmp_path, diffusers.DDPMScheduler(num_train_timesteps=8))
    (tmp_path / "unet" / "old.bin").write_bytes(b"a pickle")
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=words):
        load_pipeline(tmp_path)
