"""The command `hush`. What is heavy is imported by the command that needs it."""

import importlib
import os
import sys
from typing import NamedTuple

from hush.errors import Elsewhere, UserError, nearest


class Command(NamedTuple):
    """A verb: the module of `hush.app` that has its `run(arguments)`, and what it does."""

    module: str
    usage: str
    says: str


COMMANDS = {
    "systems": Command("listing", "", "the table of systems: name, data, task, paper"),
    "inspect": Command(
        "inspecting", "DATA", "what is in your data, and what hush would choose for it"
    ),
    "train": Command(
        "training", "SYSTEM --data DATA --out RUN", "learn from your data; run again to go on"
    ),
    "sample": Command("sampling", "RUN", "draw from what was learnt"),
    "generate": Command("generating", "RUN --out FILE", "windows of series, new ones"),
    "upscale": Command("restoring", "RUN INPUT --out FOLDER", "pictures, larger"),
    "inpaint": Command("restoring", "RUN INPUT --mask FILE --out FOLDER", "holes filled"),
    "uncrop": Command("restoring", "RUN INPUT --right N --out FOLDER", "beyond the edges"),
    "colourise": Command("restoring", "RUN INPUT --out FOLDER", "grey pictures in colour"),
    "restore": Command("restoring", "RUN INPUT --out FOLDER", "what JPEG took away"),
    "denoise": Command("restoring", "RUN INPUT --out FOLDER", "pictures without their noise"),
    "impute": Command("telling", "RUN FILE --out FILE", "what is missing from series"),
    "forecast": Command("telling", "RUN FILE --horizon N --out FILE", "what comes after series"),
    "detect": Command(
        "detecting", "RUN INPUT --out OUTPUT", "what does not belong in pictures, or in series"
    ),
    "segment": Command("segmenting", "RUN INPUT --out FOLDER", "what every pixel shows"),
    "compare": Command("segmenting", "RUN BEFORE AFTER --out FOLDER", "what has changed"),
    "purify": Command("purifying", "RUN INPUT --out FOLDER", "an attack washed out"),
    "teach": Command(
        "teaching", "encoder --data FOLDER --out ENC", "what pictures show, for inpaint to heed"
    ),
    "evaluate": Command(
        "evaluating", "RUN", "how good a run is, in words, a table and a page with pictures"
    ),
    "plan": Command(
        "planning", "RUN --evaluations N", "the sampler and grid that suit a run best at that cost"
    ),
    "retell": Command(
        "retelling", "RUN --data DATA --out NEW", "the same weights with the best variances"
    ),
    "export": Command("exporting", "RUN --out FOLDER", "a trained model as a folder of diffusers"),
    "certify": Command("certifying", "", "hold samplers, grids and schedules against exact data"),
    "app": Command("serving", "[RUN]", "a page to do all this, and watch the noise lift"),
    "cite": Command("listing", "RUN", "the papers behind a run"),
}


def main() -> None:
    """The entry point: run a command; a user's error is one sentence and exit status 2."""
    arguments = sys.argv[1:]
    try:
        run(arguments)
    except Elsewhere:
        sys.exit(2)
    except UserError as error:
        print(f"{_speaker()}: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output left, `hush systems | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # a full disk under a log file, a folder taken away
        print(f"{_speaker()}: {error}. What was saved before is still there.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _speaker() -> str:
    """Who speaks: of several processes that torchrun started, which."""
    rank = os.environ.get("RANK", "0")
    return "hush" if rank == "0" else f"hush, process {rank}"


def run(arguments: list[str]) -> None:
    """Run one command line, without the name of the program."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return
    name = arguments[0]
    if name == "--version":
        from importlib.metadata import version

        print(f"hush {version('hush')}")
        return
    if name not in COMMANDS:
        raise UserError(f"There is no command {name!r}: {nearest(name, COMMANDS)}")
    module = importlib.import_module(f"hush.app.{COMMANDS[name].module}")
    getattr(module, name)(arguments[1:])


def overview() -> str:
    """What `hush --help` prints."""
    calls = {name: f"hush {name} {command.usage}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, calls.values())) + 3
    rows = [f"  {calls[name]:{width}}{command.says}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "hush trains and uses diffusion models on your own data.",
            "",
            *rows,
            "",
            "`hush COMMAND --help` tells more. A first model, in a few minutes:",
            "",
            "  hush train ddpm --data digits --out runs/digits --width 32 --multipliers 1 2 \\",
            "    --blocks 1 --batch 64 --learning-rate 2e-3 --warmup 100 --ema 0.999 --steps 2000",
            "  hush sample runs/digits --sampler multistep --steps 20 --seed 7",
        ]
    )
