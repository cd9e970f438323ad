"""How long it takes before anything can begin, hush beside torch and diffusers.

    python benchmarks/startup.py [--rounds 7]

Every line is a Python of its own, started in turn with the others; medians, and their ratio to
that of `import torch`. Writes benchmarks/results/startup.md.
"""

import os
import subprocess
import sys
from functools import partial
from statistics import median, quantiles

import torch
from measure import header, in_turn, options, write

LINES = {
    "import torch": "import torch",
    "import hush": "import hush",
    "a system and its training": "import hush; hush.systems.ddpm; hush.train",
    "hush --help": "from hush.app.cli import run; run([])",
    "hush systems": "from hush.app.cli import run; run(['systems'])",
    "a U-Net and its pipeline of diffusers": (
        "from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel"
    ),
}


def main() -> None:
    """Start each in turn, as often as asked; write the table."""
    given = options(__doc__, rounds=7).parse_args()
    works = {name: partial(started, line) for name, line in LINES.items()}
    took = in_turn(works, given.rounds, torch.device("cpu"))  # a first round fills the disk's cache
    base = median(took["import torch"])
    rows = ["| | seconds (quartiles) | of `import torch` |", "|---|---|---|"]
    for name, each in took.items():
        low, middle, high = quantiles(each, n=4)
        rows.append(f"| {name} | {middle:.2f} ({low:.2f}-{high:.2f}) | {middle / base:.2f} |")
    write("startup.md", [header("python benchmarks/startup.py", given), "", *rows])


def started(line: str) -> None:
    """A Python of its own for one line."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", line], check=True, env=os.environ, **quiet)


if __name__ == "__main__":
    main()
