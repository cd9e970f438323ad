"""Pipelines of diffusers with small networks, and the same noise for them and for hush."""

import diffusers
import pytest
import torch

from hush.rng import Streams

COUNT, SHAPE = 3, (2, 8, 8)
FOLLOWS = {"use_clipped_model_output": True}
DOWN, UP = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
SMALL = {
    "in_channels": 2,
    "out_channels": 2,
    "block_out_channels": (8, 16),
    "down_block_types": DOWN,
    "up_block_types": UP,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
DDPM = {  # as the models of Ho et al. on the hub say it
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
    "act_fn": "silu",
}


def stirred(network, scale=0.3):
    """Every weight drawn anew: what starts at zero would hide what is behind it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.data = scale * drawn.to(parameter.dtype)
    return network.eval()


def folder(path, scheduler, **options):
    """What a pipeline of diffusers saves, of a small network whose every weight was drawn."""
    model = stirred(diffusers.UNet2DModel(**{"sample_size": 8, **SMALL, **options}), 0.2)
    kind = "DDIMPipeline" if isinstance(scheduler, diffusers.DDIMScheduler) else "DDPMPipeline"
    getattr(diffusers, kind)(unet=model, scheduler=scheduler).save_pretrained(path)
    return path


def theirs(path, steps, kind="DDPMPipeline", **call):
    """Pictures that diffusers draws with the first numbers of a generator."""
    pipeline = getattr(diffusers, kind).from_pretrained(path)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    options = {"num_inference_steps": steps, "output_type": "pt", **call}
    return pipeline(COUNT, generator, **options).images


def ours(system, **call):
    """Pictures that hush draws with these numbers, one draw after the other."""
    generator = torch.Generator().manual_seed(5)
    drawn = [torch.randn(COUNT, *SHAPE, generator=generator) for _ in range(50)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Streams, "normal", lambda rng, event, dtype=None: drawn[rng.draw])
        return system.sample(COUNT, **call)
