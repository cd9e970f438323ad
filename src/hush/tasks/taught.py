"""Small networks that were taught on the spot, kept for later: dual encoders and classifiers."""

import json
import os
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from hush.errors import UserError
from hush.evaluation.classifier import Classifier
from hush.networks.dual import DualEncoder
from hush.training import files
from hush.training.stored import Stored, no_larger
from hush.world import World

KINDS: dict[str, type[nn.Module]] = {"encoder": DualEncoder, "classifier": Classifier}
Kind = Literal["encoder", "classifier"]


def keep(
    network: DualEncoder | Classifier,
    folder: str | os.PathLike[str],
    classes: tuple[str, ...] = (),
) -> Path:
    """Write one file into a folder, KIND.safetensors: the weights, and in its header, as JSON, the
    settings that the network is made with and the names of its `classes`."""
    kind = next(kind for kind, made in KINDS.items() if isinstance(network, made))
    path = Path(folder) / f"{kind}.safetensors"
    header = {"hush": json.dumps({"settings": network.settings, "classes": classes})}
    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    files.write(path, lambda aside: safetensors.torch.save_file(tensors, aside, header))
    return path


@torch.no_grad()
def recall(folder: str | os.PathLike[str], kind: Kind) -> tuple[Any, tuple[str, ...]]:
    """What `keep` wrote, frozen, where the machine is fastest, and the names of its classes. Raises
    `UserError` for a file that is missing or damaged."""
    path = Path(folder) / f"{kind}.safetensors"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: `hush teach {kind} --data FOLDER --out {folder}` writes it."
        )
    found = Stored(Path(folder), kind)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["hush"])
        with no_larger(found):
            network = KINDS[kind](**{k: _tuples(v) for k, v in about["settings"].items()})
        classes = tuple(map(str, about["classes"]))
    except (OSError, SafetensorError, UserError, *_STRANGE) as error:
        raise UserError(f"{path} does not say what it is ({error}): teach it again.") from error
    wanted = network.state_dict()
    if set(wanted) != set(found.names):
        raise found.unfit(f"it has not the tensors of a {kind}")
    for name, target in wanted.items():
        found.fill(name, target)
    return network.to(World().device).eval().requires_grad_(False), classes


def _tuples(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples again."""
    return tuple(value) if isinstance(value, list) else value


_STRANGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError)
