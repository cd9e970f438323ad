"""Whether `hush inspect` knows how long training takes: what it says, and what a run then takes.

    python benchmarks/inspected.py [--share 1.0] [--threads 1]

Each run is the one that was chosen, or the first `share` of its steps with as many examinations.
On a machine with other jobs a wall clock tells of them too, so the processor's time stands beside
it. Writes benchmarks/results/inspected.md.
"""

import tempfile
import time

import torch
from measure import header, options, write

import hush
from hush.inspection.candidates import Terms, candidate, timed
from hush.inspection.useful import useful

CASES = {"digits": "ddpm", "elnino": "csdi", "macrodata": "timegrad"}


def main() -> None:
    """Inspect, train, compare."""
    parser = options(__doc__, rounds=1, threads=1)
    parser.add_argument("--share", type=float, default=1.0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [
        "| data, system | steps | said: minutes | took | ratio | said: alone | processor | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, system in CASES.items():
        rows.append(compared(data, system, given.share))
        print(rows[-1], flush=True)
    command = f"python benchmarks/inspected.py --share {given.share:g}"
    write("inspected.md", [header(command, given), "", *rows])


def compared(data: str, name: str, share: float) -> str:
    """A row: what is said of a run, and what it takes."""
    report = hush.inspect(data, name)
    steps = max(8, round(share * report.settings["steps"]))
    said = {**report.settings, "steps": steps, "sample_every": -(-steps // 4)}
    source, terms = report.source, Terms.of(name, said, None, None)
    goal = useful("generate", 64, False, len(source))
    found = timed(source, candidate(source, goal, terms, said, {}))
    with tempfile.TemporaryDirectory() as out:
        wall, worked = time.perf_counter(), time.process_time()
        hush.train(found.system, source, out, show=False)
        wall, worked = time.perf_counter() - wall, time.process_time() - worked
    minutes, alone = 60 * found.hours, 60 * found.hours * found.pace.share
    took, processor = wall / 60, worked / 60 / torch.get_num_threads()
    return (
        f"| {data}, {name} | {steps:,} | {minutes:.2f} | {took:.2f} | {minutes / took:.2f} "
        f"| {alone:.2f} | {processor:.2f} | {alone / processor:.2f} |"
    )


if __name__ == "__main__":
    main()
