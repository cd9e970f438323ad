"""A training step of hush beside one of diffusers, taken in turn in one process.

    python benchmarks/train.py [--rounds 8] [--device cpu]

Both train a U-Net of the same topology on 32x32 colour pictures, batches of 64: forward, backward,
clipping, AdamW and averaging. Times are medians over the rounds; a ratio is the median of the
rounds' own ratios, with its quartiles. FLOP/s count what `torch.utils.flop_counter` counts of each
network, and stand beside what a convolution and a matrix product alone reach on this machine.
Writes benchmarks/results/train.md.
"""

import argparse
import copy
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from statistics import median, quantiles

import torch
from diffusers import UNet2DModel
from torch.utils.flop_counter import FlopCounterMode

import hush
from hush.networks import Backbone
from hush.system import Recipe
from hush.training.learner import lowered
from hush.training.trainer import Trainer
from hush.world import World

BATCH, SIDE = 64, 32
WIDTHS = (64, 128, 128)  # with one block at each: 4.4 M weights
Step = Callable[[], None]


def main() -> None:
    """Time each in turn, write the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    made = {
        "diffusers, heads of 8": diffusers_step(device, 8, None),
        "diffusers, heads of 64": diffusers_step(device, 64, None),
        "diffusers, heads of 64, bf16": diffusers_step(device, 64, torch.bfloat16),
        "hush": hush_step(device, "no"),
        "hush, bf16": hush_step(device, "bf16"),
    }
    peaks = {
        f"{what}, {kind}": peak(device, what, dtype)
        for kind, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16))
        for what in ("convolution", "product")
    }
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for number in range(given.rounds + 1):
        for name, (step, _, _) in made.items():
            took = timed(step, device)
            if number:  # the first round warms up
                seconds[name].append(took)
    results = Path(__file__).parent / "results" / "train.md"
    results.write_text(table(made, seconds, peaks, given))
    print(results.read_text())


def timed(step: Step, device: torch.device) -> float:
    """Seconds of one step, the device's work included."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    began = time.perf_counter()
    step()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began


def hush_step(device: torch.device, precision: str) -> tuple[Step, float, int]:
    """(a step of hush's own trainer, FLOPs of it, weights)."""
    multipliers = tuple(width // WIDTHS[0] for width in WIDTHS)
    backbone = Backbone(
        width=WIDTHS[0], multipliers=multipliers, blocks=1, attention=(1,), dropout=0.0
    )
    torch.manual_seed(0)
    system = hush.systems.ddpm((3, SIDE, SIDE), backbone=backbone)
    pictures = torch.rand(BATCH, 3, SIDE, SIDE)
    system.codec.fit([pictures])
    trainer = Trainer(system, Recipe(batch=BATCH, precision=precision), World(device=device))
    network = trainer.denoiser.network

    def step() -> None:
        with lowered(network, precision, device):
            trainer.learn({"image": pictures})

    return step, flops(network, device), sum(p.numel() for p in network.parameters())


def diffusers_step(
    device: torch.device, head: int, dtype: torch.dtype | None
) -> tuple[Step, float, int]:
    """The same of diffusers: its network, and the loop of its training example."""
    torch.manual_seed(0)
    blocks = ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]
    network = UNet2DModel(
        sample_size=SIDE,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        attention_head_dim=head,
        down_block_types=blocks,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(blocks)],
    ).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    adam = torch.optim.AdamW(network.parameters(), lr=2e-4)
    pictures = torch.rand(BATCH, 3, SIDE, SIDE, device=device) * 2 - 1
    alphas = torch.linspace(1e-4, 0.02, 1000, device=device).neg().add(1).cumprod(0)

    def step() -> None:
        noise, t = torch.randn_like(pictures), torch.randint(1000, (BATCH,), device=device)
        level = alphas[t].reshape(-1, 1, 1, 1)
        noisy = level.sqrt() * pictures + (1 - level).sqrt() * noise
        with torch.autocast(device.type, dtype) if dtype else nullcontext():
            loss = torch.nn.functional.mse_loss(network(noisy, t).sample.float(), noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        with torch.no_grad():
            for trailing, weight in zip(average.parameters(), network.parameters(), strict=True):
                trailing.lerp_(weight, 1e-4)

    return step, flops(network, device), sum(p.numel() for p in network.parameters())


def flops(network: torch.nn.Module, device: torch.device) -> float:
    """FLOPs of a training step: three times those of the forward pass."""
    x, t = torch.zeros(1, 3, SIDE, SIDE, device=device), torch.zeros(1, device=device)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(x, t)
    return 3.0 * BATCH * counter.get_total_flops()


def peak(device: torch.device, what: str, dtype: torch.dtype) -> float:
    """The FLOP/s that one large operation reaches by itself, the best of several."""
    if what == "product":
        a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
        count, work = 2.0 * 2048**3, lambda: a @ b
    else:
        layer = torch.nn.Conv2d(128, 128, 3, padding=1).to(device, dtype)
        x = torch.randn(BATCH, 128, SIDE, SIDE, device=device, dtype=dtype)
        count, work = 2.0 * BATCH * SIDE**2 * 128 * 128 * 9, lambda: layer(x)
    with torch.no_grad():
        return count / min(timed(work, device) for _ in range(8))


def table(
    made: dict[str, tuple[Step, float, int]],
    seconds: dict[str, list[float]],
    peaks: dict[str, float],
    given: argparse.Namespace,
) -> str:
    """Medians, ratios to the first row, and FLOP/s."""
    base, first = next(iter(seconds.items()))
    rows = [
        f"`python benchmarks/train.py`, {date.today()}, {given.rounds} rounds, {given.threads} "
        f"threads, {given.device}, torch {torch.__version__}, {platform.machine()}.",
        "",
        f"| {BATCH} pictures of {SIDE}x{SIDE} | weights | GFLOP a picture | seconds "
        f"| times as fast as {base} (quartiles) | GFLOP/s |",
        "|---|---|---|---|---|---|",
    ]
    for name, (_, count, weights) in made.items():
        took = median(seconds[name])
        ratios = [a / b for a, b in zip(first, seconds[name], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        rows.append(
            f"| {name} | {weights / 1e6:.2f} M | {count / BATCH / 1e9:.2f} | {took:.3f} | "
            f"{middle:.2f} ({low:.2f}-{high:.2f}) | {count / took / 1e9:.0f} |"
        )
    alone = ", ".join(f"{name} {value / 1e9:.0f}" for name, value in peaks.items())
    return "\n".join([*rows, "", f"GFLOP/s of one operation alone: {alone}."]) + "\n"


if __name__ == "__main__":
    main()
