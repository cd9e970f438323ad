"""What the README says is run: its Python in order, its commands with few steps on tiny data."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snippets import few, hush, shortened

from hush import data
from hush.systems import TABLE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, digits = {}, few(64)
    monkeypatch.setattr(data, "digits", lambda: digits)
    for block in blocks("python"):
        exec(compile(shortened(block), "README.md", "exec"), names)
    assert names["mine"].sample(2, grid=3, seed=0).shape == (2, 1, 8, 8)


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 28, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(f"photos/{number}.png")
    Image.fromarray(255 * (pixels[0, :, :, 0] > 128).astype(np.uint8)).save("hole.png")
    lines = [line[2:] for block in blocks("console") for line in block.splitlines()]
    commands = [shlex.split(shortened(line), comments=True) for line in lines]
    ours = [command[1:] for command in commands if command[0] == "hush"]
    asked = "systems train sample cite inspect train train train sample train upscale inpaint "
    asked += "detect purify certify evaluate retell train export"
    assert [command[0] for command in ours] == asked.split()
    for command in ours:
        hush(command)
    assert Path("runs/photos/samples/seed-7/trace.png").exists()
    assert Path("larger/0-spread.png").exists()
    assert Path("whole/0-beside.png").exists()
    assert Path("plain/model_index.json").exists()


def test_the_demo_leaves_its_pictures_and_its_report(tmp_path, monkeypatch, capsys):
    demo = runpy.run_path(str(ROOT / "examples" / "digits.py"))
    demo["main"].__globals__.update(STEPS=2, DRAWN=100, digits=lambda: few(800))
    monkeypatch.setattr(sys, "argv", ["digits.py", str(tmp_path / "demo")])
    demo["main"]()
    said = capsys.readouterr().out
    for figure in ("feature distance", "floor", "Gaussian", "class agreement", "real or fake"):
        assert figure in said
    for picture in ("samples-and-real", "noising", "denoising", "loss"):
        assert (tmp_path / "demo" / f"{picture}.png").exists()


def test_the_first_two_commands_are_targets_of_the_makefile():
    lines = [line for block in blocks("console") for line in block.splitlines()]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[1:3] for line in lines[:2]] == [["make", "demo"], ["make", "test"]]
    assert {"demo", "test"} <= set(targets)


@pytest.mark.parametrize("name", TABLE)
def test_the_readme_has_a_row_for_every_system(name):
    assert f"| `{name}`" in README
