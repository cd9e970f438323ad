"""Sampling beside diffusers and k-diffusion: time outside the network, and whole pipelines.

    python benchmarks/sample.py [--rounds 9] [--threads 1] [--device cpu]

Outside: the network hands its input back at once, so that what is left of a walk is the sampler's
own: the parameterisation, the step, the noise, the loop, and what each prepares. Beside every
sampler of hush stand those of the same order that give the same kind of walk: schedulers of
diffusers in the loop of its pipelines, functions of k-diffusion with its wrapper for noise
predictors. Times are microseconds an evaluation. Late is how long the last fifth of a walk takes of
its first.

Pipelines: `DDPMPipeline` and `DDIMPipeline` with a U-Net of random weights, in float32 and in bf16,
and the system that `hush.interop` makes of the same folder, in equal steps.

All in one process, in turn; medians over the rounds, and ratios as medians of the rounds' own, with
their quartiles. Guidance: both beliefs in one doubled batch, beside one after the other. Writes
benchmarks/results/sample.md.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import diffusers
import torch
from measure import header, options, times_as_fast, write
from peers.k_diffusion import external, sampling
from peers.pipelines import guided, pipelines
from torch import Tensor, nn

from hush.denoisers import GaussianDenoiser
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.samplers import Ancestral, Churn, Heun, Multistep, Sampler, bases, walk
from hush.samplers.grids import Chain, Grid
from hush.schedules import Tabulated

SHAPES = {"16 of 1x8x8": (16, 1, 8, 8), "64 of 3x32x32": (64, 3, 32, 32)}
STEPS = {50: 3, 500: 1}  # and in how many of three rounds; the long ones without noise
CHURN = 40.0
NOISY = ("order 1, noise", "order 2, churn")


class Echo(nn.Module):
    """A network that hands its input back, and knows when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def forward(self, x: Tensor, t: Tensor, cond: Tensor | None = None) -> Tensor:
        self.asked.append(time.perf_counter())
        return x


Walk = Callable[[Echo, Tensor, int], object]


def ours(sampler: Sampler, grid: type[Grid] = Chain) -> Walk:
    """hush's own loop."""

    def run(network: Echo, x: Tensor, steps: int) -> None:
        denoiser = GaussianDenoiser(GaussianProcess(SCHEDULE), network)
        rng = Streams.of(0, len(x), device=x.device)
        for _ in walk(sampler, denoiser, x, grid(steps)(SCHEDULE), rng):
            pass

    return run


def scheduler(name: str, **options: object) -> Walk:
    """The loop of diffusers' pipelines around one of its schedulers."""

    def run(network: Echo, x: Tensor, steps: int) -> None:
        made = getattr(diffusers, name)(**options)
        made.set_timesteps(steps, device=x.device)
        for t in made.timesteps:
            answer = network(made.scale_model_input(x, t), t)
            x = made.step(answer, t, x, return_dict=False)[0]

    return run


def function(name: str, **options: object) -> Walk:
    """A function of k-diffusion, walking its own grid."""
    sample, alpha_bar = getattr(sampling, f"sample_{name}"), SCHEDULE(TIMES)[0].square().float()

    def run(network: Echo, x: Tensor, steps: int) -> None:
        model = external.DiscreteEpsDDPMDenoiser(network, alpha_bar, quantize=False).to(x.device)
        sample(model, x, model.get_sigmas(steps), disable=True, **options)

    return run


SCHEDULE = Tabulated.linear()
TIMES = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)[1:]
MIDPOINT = {"along": "log_snr", "rule": "midpoint", "start": "lower"}
UNIPC = Multistep(3, bases.Data(), 4, start="lower", along="log_snr")
UNCLIPPED = {"clip_sample": False}
OUTSIDE: dict[str, tuple[dict[str, Walk], dict[str, Walk]]] = {
    "order 1": (
        {"DDIM, `Ancestral(0.0)`": ours(Ancestral(0.0)), "`Multistep(1)`": ours(Multistep(1))},
        {
            "diffusers DDIM": scheduler("DDIMScheduler", **UNCLIPPED),
            "diffusers Euler": scheduler("EulerDiscreteScheduler"),
            "k-diffusion euler": function("euler"),
        },
    ),
    "order 2": (
        {"DPM-Solver++ 2M": ours(Multistep(2, bases.Data(), **MIDPOINT))},
        {
            "diffusers DPMSolverMultistep": scheduler("DPMSolverMultistepScheduler"),
            "k-diffusion dpmpp_2m": function("dpmpp_2m"),
        },
    ),
    "order 2, two evaluations a step": (
        {"`Heun()`": ours(Heun()), "Heun of EDM": ours(Heun(bases.Noise()))},
        {
            "diffusers Heun": scheduler("HeunDiscreteScheduler"),
            "k-diffusion heun": function("heun"),
        },
    ),
    "order 3": (
        {"`Multistep(3)`": ours(Multistep(3)), "UniPC": ours(UNIPC)},
        {
            "diffusers UniPC": scheduler("UniPCMultistepScheduler", solver_order=3),
            "diffusers DPMSolverMultistep": scheduler(
                "DPMSolverMultistepScheduler", solver_order=3
            ),
            "diffusers DEIS": scheduler("DEISMultistepScheduler", solver_order=3),
        },
    ),
    "order 4": (
        {"`Multistep(4)`": ours(Multistep(4))},
        {
            "diffusers PNDM": scheduler("PNDMScheduler", skip_prk_steps=True),
            "k-diffusion lms": function("lms"),
        },
    ),
    NOISY[0]: (
        {"DDPM, `Ancestral()`": ours(Ancestral())},
        {
            "diffusers DDPM": scheduler("DDPMScheduler", **UNCLIPPED),
            "diffusers EulerAncestral": scheduler("EulerAncestralDiscreteScheduler"),
            "k-diffusion euler_ancestral": function("euler_ancestral"),
        },
    ),
    NOISY[1]: (
        {"`Churn(Heun())`": ours(Churn(Heun(), CHURN))},
        {"k-diffusion heun": function("heun", s_churn=CHURN)},
    ),
}


@dataclass(frozen=True)
class Run:
    """A walk's microseconds an evaluation, all it prepares included, and its last fifth's share of
    its first."""

    each: float
    late: float

    @classmethod
    def of(cls, walked: Walk, shape: tuple[int, ...], steps: int, device: str) -> "Run":
        network, x = Echo(), torch.randn(shape, generator=torch.manual_seed(0)).to(device)
        began = time.perf_counter()
        with torch.no_grad():
            walked(network, x, steps)
            if device != "cpu":
                torch.accelerator.synchronize()
        took, asked = time.perf_counter() - began, network.asked
        gaps = [b - a for a, b in pairwise(asked)]
        fifth = len(gaps) // 5
        return cls(took / len(asked) * 1e6, median(gaps[-fifth:]) / median(gaps[1 : fifth + 1]))


def outside(given: argparse.Namespace) -> Iterable[str]:
    """The table of the time outside the network."""
    yield "| batch, steps | | hush | µs | late | of the fastest peer's (quartiles) | peers, µs |"
    yield "|---|---|---|---|---|---|---|"
    for where, shape in SHAPES.items():
        for steps in STEPS:
            for order, (mine, theirs) in OUTSIDE.items():
                if steps > 50 and order in NOISY:
                    continue
                runs: dict[str, list[Run]] = {name: [] for name in (*mine, *theirs)}
                for number in range(given.rounds * STEPS[steps] // 3 + 1):
                    for name, walked in (mine | theirs).items():
                        run = Run.of(walked, shape, steps, given.device)
                        if number:  # the first round warms up
                            runs[name].append(run)
                yield from rows(f"{where}, {steps}", order, runs, mine, theirs)


def rows(
    where: str,
    order: str,
    runs: dict[str, list[Run]],
    mine: Iterable[str],
    theirs: Iterable[str],
) -> Iterable[str]:
    """A row for each of hush's samplers."""
    took = {name: median(run.each for run in each) for name, each in runs.items()}
    best = min(theirs, key=took.__getitem__)
    peers = ", ".join(f"{name} {took[name]:.0f}" for name in theirs)
    for name in mine:
        ratio = times_as_fast(*([run.each for run in runs[of]] for of in (name, best)))
        late = median(run.late for run in runs[name])
        yield f"| {where} | {order} | {name} | {took[name]:.0f} | {late:.2f} | {ratio} | {peers} |"


def main() -> None:
    """Walk all in turn, write the tables."""
    parser = options(__doc__, rounds=9, threads=1)
    parser.add_argument("--only", choices=("outside", "pipelines", "guided"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tables = {"outside": outside, "pipelines": pipelines, "guided": guided}
    asked = [given.only] if given.only else list(tables)
    lines = [header("python benchmarks/sample.py", given)]
    for name in asked:
        lines += ["", *tables[name](given)]
        print(*lines[-20:], sep="\n", flush=True)
    if not given.only:
        write("sample.md", lines)


if __name__ == "__main__":
    main()
