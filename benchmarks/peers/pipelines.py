"""Whole pipelines, and guidance: the second and third table of `sample.py`."""

import argparse
import tempfile
from collections.abc import Iterable
from functools import partial
from statistics import median

import diffusers
import torch
from measure import Work, in_turn, times_as_fast
from torch import Tensor

from hush import systems
from hush.denoisers import Denoiser
from hush.distributions import Distribution
from hush.guidance import ClassifierFree
from hush.interop.diffusers import load_pipeline
from hush.networks import Backbone
from hush.tensors import absent

WIDTHS = (64, 128, 128)  # of the U-Nets


def pipelines(given: argparse.Namespace, steps: int = 10, count: int = 16) -> Iterable[str]:
    """The table of whole pipelines with one U-Net."""
    yield f"| {count} pictures of 3x32x32, {steps} steps | seconds | times as fast (quartiles) |"
    yield "|---|---|---|"
    device = torch.device(given.device)
    for kind in ("DDPM", "DDIM"):
        draw = partial(pipeline(kind).to(device), count, num_inference_steps=steps)
        works: dict[str, Work] = {
            "diffusers": draw,
            "diffusers, bf16": partial(lower, draw, device),
        }
        with tempfile.TemporaryDirectory() as folder:
            pipeline(kind).save_pretrained(folder)
            system = load_pipeline(folder, steps)
        system.denoiser.to(device)
        works["hush"] = partial(system.sample, count, seed=0)
        works["hush, bf16"] = partial(system.sample, count, seed=0, precision="bf16")
        took = in_turn(works, given.rounds, device)
        for name, each in took.items():
            ratio = times_as_fast(took["diffusers"], each)
            yield f"| {kind}Pipeline, {name} | {median(each):.2f} | {ratio} |"


def lower(draw: Work, device: torch.device) -> None:
    """The same under autocast."""
    with torch.autocast(device.type, torch.bfloat16):
        draw()


def pipeline(kind: str) -> diffusers.DiffusionPipeline:
    """A pipeline of diffusers around a U-Net of random weights, with heads of 8 as by default."""
    blocks = ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        down_block_types=blocks,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(blocks)],
    )
    scheduler = getattr(diffusers, f"{kind}Scheduler")()
    made = getattr(diffusers, f"{kind}Pipeline")(network.eval(), scheduler)
    made.set_progress_bar_config(disable=True)
    return made


def guided(given: argparse.Namespace) -> Iterable[str]:
    """The table of classifier-free guidance: both beliefs at once, or one after the other."""
    yield "| guided evaluation, pictures of 3x32x32 | one batch, s | two, s | times as fast |"
    yield "|---|---|---|---|"
    backbone = Backbone(
        width=WIDTHS[0],
        multipliers=tuple(width // WIDTHS[0] for width in WIDTHS),
        blocks=1,
        attention=(1,),
    )
    denoiser = systems.ddpm((3, 32, 32), ("a", "b"), backbone).denoiser.eval().to(given.device)
    whole = ClassifierFree(3.0)(denoiser)
    for count in (1, 4, 16, 64):
        x = torch.randn(count, 3, 32, 32, device=given.device)
        cond = torch.zeros(count, dtype=torch.long, device=given.device)
        works = {"two": partial(in_two, denoiser, x, cond), "one": partial(whole, x, 0.5, cond)}
        with torch.no_grad():
            took = in_turn(works, given.rounds, x.device)
        one, two = median(took["one"]), median(took["two"])
        yield f"| {count} | {one:.3f} | {two:.3f} | {times_as_fast(took['two'], took['one'])} |"


def in_two(denoiser: Denoiser, x: Tensor, cond: Tensor) -> Distribution:
    """Guidance that asks twice."""
    free, bound = denoiser(x, 0.5, absent(cond)), denoiser(x, 0.5, cond)
    return free.toward(bound, 3.0)
