"""torchrun itself, and a process that is killed at some moment: the others begin again with it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

TRAIN = (
    "-m hush train ddpm --data digits --width 8 --multipliers 1 --blocks 1 --dropout 0.2 --batch 8 "
    "--learning-rate 1e-3 --warmup 1 --chain 20 --steps 40 --save-every 5 --report-every 1 "
    "--sample-every 20 --log-records --threads 1"
)


def torchrun(out, *flags, restarts=2):
    """Two processes under torchrun."""
    launch = "-m torch.distributed.run --standalone --nproc-per-node 2 --monitor-interval 0.1"
    command = [sys.executable, *launch.split(), "--max-restarts", str(restarts), *TRAIN.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, "--out", str(out), *flags], env=environment)


def workers(launcher):
    """The processes that torchrun has started."""
    listed = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(child) for child in listed]


def lines(out, name):
    path = out / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the processes in /proc")
@pytest.mark.faults
@pytest.mark.parametrize("shard", [(), ("--shard",)], ids=["whole", "shard"])
def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path, shard):
    assert torchrun(tmp_path / "unbroken", *shard).wait(250) == 0
    out = tmp_path / "run"
    moment = random.randrange(1, 35)
    running = torchrun(out, *shard)
    try:
        while len(lines(out, "records.jsonl")) < moment:
            assert running.poll() is None
            time.sleep(0.01)
        victim = random.choice(workers(running))
        os.kill(victim, signal.SIGKILL)
        assert running.wait(250) == 0
    finally:
        running.kill()
    for name in ("metrics.jsonl", "records.jsonl"):
        assert lines(out, name) == lines(tmp_path / "unbroken", name), (moment, name)
    for name in ("model", "ema"):
        one, two = (
            safetensors.torch.load_file(path / f"{name}.safetensors")
            for path in (tmp_path / "unbroken", out)
        )
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), (moment, name)
    assert not list(out.rglob("*.partial"))
