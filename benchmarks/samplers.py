"""Error per denoiser evaluation: hush's samplers beside those of diffusers, k-diffusion and azula.

    pip install --no-deps k-diffusion azula
    python benchmarks/samplers.py [--quick]

Data are Gaussian mixtures in 2 and in 64 dimensions, so the denoiser is exact and what is left is
the sampler's error alone: the mean distance of its ends from those of the exact probability flow,
over √(D/2). `peers/flows.py` says what is compared with what. All settings of each library are
walked with 5, 8 and 10 evaluations of the denoiser, and from there on those that are within 4
times of their library's best on some data; what draws noise is left out. Arithmetic is float64
where a library allows; diffusers keeps its levels, and some of its states, in float32, whose
floor of about 1e-6 matters at 100 evaluations at most.

Writes benchmarks/results/samplers.json and samplers.md.
"""

import argparse
import time
from pathlib import Path

import torch
from peers import azula, diffusers, k_diffusion, ours, report
from peers.flows import PROBLEMS, Flows, all_data
from peers.search import search
from rich.console import Console

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Search, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the starting points")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two files")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started, console = time.perf_counter(), Console()
    flows = Flows(all_data(asked.quick))
    found = {}
    for problem in PROBLEMS:
        settings = [
            one for room in (ours, diffusers, k_diffusion, azula) for one in room.settings(problem)
        ]
        with console.status(f"{problem}: {len(settings)} settings"):
            found[problem] = search(flows, settings)
        for table in report.tables(problem, found[problem], flows.data):
            console.print(table)
        minutes = (time.perf_counter() - started) / 60
        report.write(asked.out, found, flows.data, minutes)


if __name__ == "__main__":
    main()
