"""How a training step of hush grows, in seconds and in memory, along one axis at a time.

    python benchmarks/scaling.py [--axis pixels width batch places length voxels processes]

Every point is a trainer's step, forward, backward, clipping, AdamW and averaging, in a process of
its own; seconds are medians of rounds in turn, memory is the peak of the process over what it held
before its network was made. A law, sums of powers of x that come from counting the work, is fitted
to each curve in relative error, no factor negative; the time of several processes is not fitted: it
is what one takes, divided, and the traffic, measured alone. Writes benchmarks/results/scaling.md
(the sections of the axes asked for) and docs/performance/AXIS.png.
"""

import argparse
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

import torch
from axes import AXES, KINDS, Axis, Kind, Setting, switches
from curves import Curve, Curves, Law, drawn, fitted, laws, table
from measure import RESULTS, Work, apart, header, in_turn, largest, options, seconds, write

import hush
from hush.networks import dit, lowered
from hush.system import Recipe
from hush.training.trainer import Trainer
from hush.world import World, joined, keep_blocks

PLOTS = Path(__file__).parents[1] / "docs" / "performance"


def step(setting: Setting, kind: Kind, world: World) -> Work:
    """A training step, of this process's share of the batch."""
    torch.manual_seed(0)
    keep_blocks()
    precision, dit.attend = kind  # only on the axis of places another than hush's own
    system = hush.systems.ddpm(setting.shape, backbone=setting.backbone)
    data = torch.rand(setting.batch // world.size, *setting.shape)
    system.codec.fit([data])
    trainer = Trainer(system, Recipe(batch=setting.batch, precision=precision), world)

    def work() -> None:
        with lowered(trainer.denoiser.network, precision, world.device):
            trainer.learn({"image": data})
        float(trainer.losses.pop())  # waits for the device

    return work


def alone(setting: Setting, kind: Kind, device: torch.device) -> Work:
    """What another process does: a step, of itself alone."""
    return step(setting, kind, World(device=device))


def measured(axis: Axis, given: argparse.Namespace) -> tuple[Curves, Curves]:
    """Seconds and MB of every kind along the axis, with their laws."""
    device = torch.device(given.device)
    makers = {
        (kind, x): partial(alone, axis.setting(x), axis.kinds[kind], device)
        for kind in axis.kinds
        for x in axis.values
    }
    with apart(makers, given.threads) as works:
        took = in_turn(works, given.rounds, device, warm=2)
        held = {key: work.memory() / 1e6 for key, work in works.items()}
    middle = {key: median(each) for key, each in took.items()}
    time, memory = (
        {k: fitted(axis.values, [of[k, x] for x in axis.values], axis.powers) for k in axis.kinds}
        for of in (middle, held)
    )
    return time, memory


def together(axis: Axis, given: argparse.Namespace) -> tuple[Curves, Curves]:
    """Seconds and MB of processes of one thread each, beside one of several threads,
    and the law of time that follows from one: what it takes divided, and the traffic."""
    said = {n: crew(n, 1, given.rounds) for n in axis.values}
    took, held = ([of[i] for of in said.values()] for i in (0, 2))
    traffic = said[2][1]
    threads = crew(1, given.threads, given.rounds)
    one = {f"one process, {given.threads} threads": Curve((1,), threads[:1], Law({0: threads[0]}))}
    time = {"one thread each": Curve(axis.values, took, Law({0: traffic, -1: took[0]}))}
    return time | one, {"each process": fitted(axis.values, held, axis.powers)}


def member(given: argparse.Namespace) -> None:
    """One of torchrun's processes; the main one says seconds, those of the traffic, MB."""
    with joined() as world:
        before = largest()
        setting = AXES["processes"].setting(world.size)
        work = step(setting, KINDS["bf16"], world)
        took = [seconds(work, world.device) for _ in range(2 + 2 * given.rounds)][2:]
        held = world.rows(torch.tensor([largest() - before]))
        flat = torch.zeros(
            sum(p.numel() for p in setting.backbone.build(setting.shape).parameters())
        )
        traffic = [seconds(partial(world.summed, flat), world.device) for _ in range(5)]
        if world.main:
            each = held.double().mean().item() / 1e6
            print(json.dumps([median(took), median(traffic), each]))


def crew(size: int, threads: int, rounds: int) -> list[float]:
    """What the main one of `size` processes says."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    command = [sys.executable, *launch, __file__, "--member", "--rounds", str(rounds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    """Measure the axes asked for; write their sections and plots."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--axis", choices=list(AXES), nargs="*", default=list(AXES))
    parser.add_argument("--member", action="store_true", help="be one of torchrun's processes")
    given = parser.parse_args()
    if given.member:
        return member(given)
    path = RESULTS / "scaling.md"
    before = path.read_text().split("\n## ")[1:] if path.exists() else []
    sections = {text.split("\n", 1)[0]: text for text in before}
    for name in given.axis:
        axis = AXES[name]
        time, memory = (together if name == "processes" else measured)(axis, given)
        drawn(PLOTS / f"{name}.png", axis.name, time, memory, switches(axis))
        lines = [name, "", axis.about, "", *table(axis.name, time, memory), "", *laws(time, memory)]
        sections[name] = "\n".join([*lines, "", header(f"--axis {name}", given)])
    ordered = [f"## {sections[name]}".rstrip() for name in AXES if name in sections]
    write("scaling.md", [header("python benchmarks/scaling.py", given), "", "\n\n".join(ordered)])


if __name__ == "__main__":
    main()
