"""Running what a page says, on tiny data with tiny models."""

import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import tyro
from blocks import Block
from PIL import Image

from hush import data
from hush.app import certifying, cli
from hush.samplers.grids import Given
from hush.system import System
from hush.systems.index import find

ROOT = Path(__file__).parents[1]
# Of a system's settings, those that cost time, and what they become.
SMALL = {"chain": 50, "depth": 1, "heads": 2, "states": 8, "width": 8, "blocks": 1, "walked": 3}
SMALL |= {"entries": 16, "critic": 8, "latent": 2, "groups": 1, "substeps": 1}


def shortened(text):
    """Two steps of a small model, on a short chain, say as much about the text as thousands."""
    text = re.sub(r"(\bsteps ?= ?|--steps )[2-9]\d+", r"\g<1>2", text)
    text = re.sub(r"(\bsteps ?= ?|--steps )1\d{2,}", r"\g<1>2", text)
    text = re.sub(r"(systems\.ddpm\(data.*)\)", r"\1, chain=50)", text)
    text = re.sub(r"(train ddpm)", r"\1 --chain 50", text)
    text = re.sub(r"--count \d{3,}", "--count 4", text)
    text = re.sub(r"--auto\b", "--auto --hours 1e-9 --steps 2 --batch 4", text)
    text = re.sub(r"(plan .*--evaluations) \d+", r"\1 3 --count 4", text)
    text = re.sub(r"\bevaluations=\d+", "evaluations=3", text)
    text = re.sub(r"--size \d+", "--size 16", text)
    return re.sub(r"\b(width[ =])\d+", r"\g<1>8", text)


def few(count):
    """The first of the digits."""
    whole = data.digits()
    images, labels = whole.images[:count], whole.labels[:count]
    return data.InMemory(images, labels, whole.classes, whole.levels, whole.name)


def materials():
    """What the pages take to lie in the folder: photos/, animals/ of two classes, masks/, a hole,
    a table of series with gaps."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 28, 3), dtype=np.uint8)
    mask = 255 * (pixels[0, :, :, 0] > 128).astype(np.uint8)
    for number, picture in enumerate(pixels):
        kind = "cats" if number % 2 else "dogs"
        saved(picture, f"photos/{number}.png")
        saved(picture, f"animals/{kind}/{number}.png")
        saved(mask, f"masks/{number}.png")
    saved(mask, "hole.png")
    lines = ["date,north,south"]
    for month in range(96):
        wave = [f"{np.sin(month / 2 + shift):.4f}" for shift in (0.0, 1.0)]
        wave[month % 2] = "" if 40 < month < 44 else wave[month % 2]
        lines.append(f"{2001 + month // 12}-{month % 12 + 1:02d}-01,{wave[0]},{wave[1]}")
    Path("table.csv").write_text("\n".join(lines) + "\n")


def brief(monkeypatch):
    """Walks are of two steps where nobody says how many, those that training draws too."""
    whole = System.walk

    def walk(self, count, cond=None, sampler=None, grid=None, *rest, **named):
        if grid is None and not isinstance(self.grid, Given):
            grid = 2
        return whole(self, count, cond, sampler, grid, *rest, **named)

    monkeypatch.setattr(System, "walk", walk)


def saved(pixels, name):
    """A picture on the disk."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name)


def run(block: Block, names, page):
    """One block of a page: Python in the names of those before it, commands line by line."""
    if block.kind == "python":
        exec(compile(shortened(block.text), page, "exec"), names)
        return
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            command(shlex.split(shortened(line[2:]), comments=True))


def command(words):
    """One command: of hush it is run, of others what it names must be there."""
    if words[0] == "torchrun":  # here in one process
        words = words[words.index("hush") :]
    if words[0] == "hush":
        hush(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets, words
    elif words[:2] == ["python", "-m"]:
        assert words[2] == "venv", words
    elif words[0] in ("python", "pytest"):
        assert Path(words[1]).exists() or (ROOT / words[1]).exists(), words
    else:
        assert words[0] in ("git", "cd", "pip", "source"), words


def hush(words):
    """A command line of hush, its models small."""
    if words[0] == "certify" and "--steps" not in words:  # minutes: what it asks for is read
        tyro.cli(certifying.Options, args=words[1:], config=(tyro.conf.FlagCreatePairsOff,))
        return
    if words[0] == "evaluate":
        words = [*words, "--samples", "10", "--evaluations", "2"]
        words += [] if "--steps" in words else ["--steps", "3", "--count", "1"]
    cli.run(trained(words) if words[0] == "train" else words)


def trained(words):
    """`hush train` with the settings that cost time made small."""
    name, rest = words[1], list(words[2:])
    known = inspect.signature(find(name)).parameters
    small = {"steps": 2, "batch": 4, "workers": 1, "report-every": 1}
    small |= {key.replace("_", "-"): SMALL[key] for key in SMALL if key in known}
    if "backbone" in known:
        small |= {"width": 8, "blocks": 1}
    for key, value in small.items():
        flag = f"--{key}"
        if flag in rest:
            rest[rest.index(flag) + 1] = str(value)
        else:
            rest += [flag, str(value)]
    return ["train", name, *rest]
