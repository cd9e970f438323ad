"""How long it takes before anything can begin, hush beside torch and diffusers.

    python benchmarks/startup.py [--rounds 7]

Every line is a Python of its own, started in turn with the others; medians, and their ratio to
that of `import torch`. Writes benchmarks/results/startup.md.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from statistics import median, quantiles

import torch

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
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in LINES}
    for number in range(rounds + 1):
        for name, line in LINES.items():
            took = started(line)
            if number:  # the first round fills the disk's cache
                seconds[name].append(took)
    results = Path(__file__).parent / "results" / "startup.md"
    results.write_text(table(seconds, rounds))
    print(results.read_text())


def started(line: str) -> float:
    """Seconds that a Python takes for one line."""
    began = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-c", line], check=True, env=os.environ, **quiet)
    return time.perf_counter() - began


def table(seconds: dict[str, list[float]], rounds: int) -> str:
    """The medians, their spread, and what they are of the first."""
    base = median(seconds["import torch"])
    rows = [
        f"`python benchmarks/startup.py`, {date.today()}, {rounds} rounds, torch "
        f"{torch.__version__}, Python {platform.python_version()}, {platform.machine()}.",
        "",
        "| | seconds (quartiles) | of `import torch` |",
        "|---|---|---|",
    ]
    for name, each in seconds.items():
        low, middle, high = quantiles(each, n=4)
        rows.append(f"| {name} | {middle:.2f} ({low:.2f}-{high:.2f}) | {middle / base:.2f} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
