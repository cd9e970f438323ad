"""A training step of hush beside those of diffusers and denoising-diffusion-pytorch.

    pip install --no-deps denoising-diffusion-pytorch ema-pytorch einops
    python benchmarks/train.py [--rounds 8] [--device cpu]

All train a U-Net of one topology: forward, backward, clipping, Adam and averaging, one step at a
time in turn, each in a process of its own. hush trains the network of diffusers itself, weight for
weight ("hush"), and its own of the same widths. Times are medians; a ratio is the median of the
rounds' own, with its quartiles. FLOP/s are those that `torch.utils.flop_counter` counts of each
topology, for hush's copy of diffusers' network those of diffusers (it needs fewer), beside what a
convolution and a matrix product alone reach. Memory is the peak of a process over what it held
before its network was made. Writes benchmarks/results/train.md.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from measure import Work, apart, header, in_turn, options, peaks, times_as_fast, write
from peers.steps import CASES, Case, Step, diffusers_step, hush_step, lucidrains_step

BF16 = torch.bfloat16
CONTENDERS: dict[str, Callable[[Case, torch.device], Step]] = {
    "diffusers, heads of 8": partial(diffusers_step, head=8),
    "diffusers, heads of 8, bf16": partial(diffusers_step, head=8, dtype=BF16),
    "diffusers, heads of 64": partial(diffusers_step, head=64),
    "diffusers, heads of 64, bf16": partial(diffusers_step, head=64, dtype=BF16),
    "lucidrains": lucidrains_step,
    "lucidrains, bf16": partial(lucidrains_step, dtype=BF16),
    "hush": partial(hush_step, precision="no"),
    "hush, bf16": partial(hush_step, precision="bf16"),
    "hush, bf16, `--recompute`": partial(hush_step, precision="bf16", recompute=True),
    "hush, its own network, bf16": partial(hush_step, precision="bf16", like=False),
}


def main() -> None:
    """Time each case, write the tables."""
    parser = options(__doc__, rounds=8)
    parser.add_argument("--case", choices=list(CASES), nargs="*", default=list(CASES))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    alone = peaks(device)
    lines = [header("python benchmarks/train.py", given)]
    for name in given.case:
        lines += ["", *table(name, given, device)]
    for key, value in peaks(device).items():  # before and after: the machine is shared
        alone[key] = max(alone[key], value)
    said = ", ".join(f"{what} {value / 1e9:.0f}" for what, value in alone.items())
    write("train.md", [*lines, "", f"GFLOP/s of one operation alone: {said}."])


def table(name: str, given: argparse.Namespace, device: torch.device) -> list[str]:
    """One case: medians, ratios to the first row, FLOP/s, memory."""
    case, small = CASES[name], CASES[name].shape[1] <= 8
    makers = {who: partial(made, make, case, device) for who, make in CONTENDERS.items()}
    rounds, warm = (20 * given.rounds, 5) if small else (given.rounds, 2)
    with apart(makers, given.threads) as works:
        took = in_turn(works, rounds, device, warm)
        memory = {who: work.memory() for who, work in works.items()}
    rows = [
        f"**{name}**: batches of {case.batch}, {'x'.join(map(str, case.shape))}",
        "",
        "| | weights | GFLOP a picture | seconds | times as fast as diffusers (quartiles) "
        "| the same per FLOP | GFLOP/s | peak memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sizes = {who: make(case, torch.device("cpu")) for who, make in CONTENDERS.items()}
    first, count = (of["diffusers, heads of 8"] for of in (took, sizes))
    for who, step in sizes.items():
        middle = median(took[who])
        weights = sum(p.numel() for p in step.network.parameters())
        ratio = median(a / b for a, b in zip(first, took[who], strict=True))
        rows.append(
            f"| {who} | {weights / 1e6:.2f} M | {step.flops / 1e9:.3g} | {middle:.4f} "
            f"| {times_as_fast(first, took[who])} | {ratio * step.flops / count.flops:.2f} "
            f"| {case.batch * step.flops / middle / 1e9:.0f} | {memory[who] / 1e6:.0f} |"
        )
    return rows


def made(make: Callable[[Case, torch.device], Step], case: Case, device: torch.device) -> Work:
    """What another process does: a step."""
    return make(case, device).work


if __name__ == "__main__":
    main()
