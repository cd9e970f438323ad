"""Whole pipelines, and guidance: the second and third table of `sample.py`."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from statistics import median, quantiles

import diffusers
import torch
from torch import Tensor

from hush import systems
from hush.denoisers import Denoiser
from hush.distributions import Distribution
from hush.guidance import ClassifierFree
from hush.interop.diffusers import load_pipeline
from hush.networks import Backbone
from hush.tensors import absent

WIDTHS = (64, 128, 128)  # of the U-Nets


def spread(values: list[float]) -> str:
    """The median and the quartiles."""
    low, middle, high = quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def pipelines(given: argparse.Namespace, steps: int = 10, count: int = 16) -> Iterable[str]:
    """The table of whole pipelines with one U-Net."""
    yield f"| {count} pictures of 3x32x32, {steps} steps | diffusers, s | hush, s | times as fast |"
    yield "|---|---|---|---|"
    blocks = ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        down_block_types=blocks,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(blocks)],
    ).eval()
    for kind in ("DDPM", "DDIM"):
        made = getattr(diffusers, f"{kind}Pipeline")(
            network, getattr(diffusers, f"{kind}Scheduler")()
        )
        made.set_progress_bar_config(disable=True)
        with tempfile.TemporaryDirectory() as folder:
            made.save_pretrained(folder)
            system = load_pipeline(folder, steps)
        system.denoiser.to(given.device)
        made = made.to(given.device)
        draw = partial(made, count, num_inference_steps=steps, output_type="np")
        seconds = [(timed(draw), timed(partial(system.sample, count, seed=0))) for _ in range(5)]
        theirs, mine = (median(each) for each in zip(*seconds[1:], strict=True))
        ratio = spread([a / b for a, b in seconds[1:]])
        yield f"| {kind}Pipeline | {theirs:.2f} | {mine:.2f} | {ratio} |"


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
        apart = partial(in_two, denoiser, x, cond)
        with torch.no_grad():
            seconds = [
                (timed(partial(whole, x, 0.5, cond)), timed(apart)) for _ in range(given.rounds + 1)
            ]
        one, two = (median(each) for each in zip(*seconds[1:], strict=True))
        yield f"| {count} | {one:.3f} | {two:.3f} | {spread([b / a for a, b in seconds[1:]])} |"


def in_two(denoiser: Denoiser, x: Tensor, cond: Tensor) -> Distribution:
    """Guidance that asks twice."""
    free, bound = denoiser(x, 0.5, absent(cond)), denoiser(x, 0.5, cond)
    return free.toward(bound, 3.0)


def timed(run: Callable[[], object]) -> float:
    """Seconds it takes, the device's work included."""
    began = time.perf_counter()
    run()
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - began
