"""Readers: small networks that answer about pictures from what a diffusion model has learnt."""

import json
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import safetensors.torch
import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.rng import Streams, derive
from hush.system import System
from hush.tasks.features import USUAL, Given, Look, Pictures
from hush.training import files
from hush.training.stored import Stored, no_larger

Features = Float[Tensor, "batch feature *place"]
Masks = Int[Tensor, "batch height width"] | Bool[Tensor, "batch height width"]
UNKNOWN = -1  # the label of a pixel that nobody labelled


@dataclass(frozen=True)
class Reader(ABC):
    """A `head` that was taught to read what is inside of `system`'s network, where `look` says.

    `save` writes one file, KIND.safetensors: the head's tensors, and in the file's header, as JSON,
    the look, the names of the classes, the head's sizes and a checksum of the system's weights.
    """

    system: System
    head: nn.Module
    classes: tuple[str, ...]
    look: Look = USUAL

    kind: ClassVar[str]

    @staticmethod
    @abstractmethod
    def blank(system: System, sizes: dict[str, int]) -> nn.Module:
        """A head of these sizes that knows nothing yet."""

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write it into a folder, best that of the run it reads."""
        path = Path(folder) / f"{self.kind}.safetensors"
        about = {"look": asdict(self.look), "classes": self.classes, "sizes": self.head.sizes}
        header = {"hush": json.dumps(about | {"weights": checksum(self.system)})}
        tensors = {name: value.contiguous() for name, value in self.head.state_dict().items()}
        files.write(path, lambda aside: safetensors.torch.save_file(tensors, aside, header))
        return path

    @classmethod
    @torch.no_grad()
    def load(cls, folder: str | os.PathLike[str], system: System) -> "Reader":
        """What `save` wrote, for the system that it was fitted on.

        Raises:
            UserError: the file is missing, damaged or of another system.
        """
        path = Path(folder) / f"{cls.kind}.safetensors"
        if not path.is_file():
            raise UserError(f"{path} does not exist: fit a {cls.kind} first, and save it there.")
        found, about = Stored(Path(folder), cls.kind), _header(path)
        if about["weights"] != checksum(system):
            raise UserError(
                f"{path} was fitted on other weights than the model's, which were perhaps trained "
                "since: fit it again."
            )
        try:
            with no_larger(found):
                head = cls.blank(system, about["sizes"])
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in about["look"].items()}
            look = Look(**given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _strange(path, error) from error
        wanted = head.state_dict()
        if set(wanted) != set(found.names):
            raise found.unfit(f"it has not the tensors of a {cls.kind}")
        for name, target in wanted.items():
            found.fill(name, target)
        head = head.to(device_of(system)).eval().requires_grad_(False)
        return cls(system, head, tuple(about["classes"]), look)


def _header(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["hush"])
        kinds = {"look": dict, "classes": list, "sizes": dict, "weights": int}
        if any(not isinstance(about[key], kind) for key, kind in kinds.items()):
            raise TypeError("a part of another kind")
        if not all(isinstance(size, int) for size in about["sizes"].values()):
            raise TypeError("sizes that are no numbers")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _strange(path, error) from error
    return about


def _strange(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} does not say what it is ({error!r}): fit it again.")


def checksum(system: System) -> int:
    """CRC-32 of the weights of a system and of what its codec measured."""
    value = 0
    for module in (system.denoiser, system.codec):
        for tensor in module.state_dict().values():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            value = zlib.crc32(flat.view(torch.uint8).numpy(), value)
    return value


class Standard(nn.Module):
    """Features with their mean taken away and divided by their deviation, as `fit` measured them;
    those that never vary are 0."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))

    def fit(self, x: Features) -> None:
        """Measure them over everything but the features."""
        axes = [0, *range(2, x.ndim)]
        deviation, mean = torch.std_mean(x, axes, correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-6, 1.0 / deviation.clamp(min=1e-6), 0.0))

    def forward(self, x: Features) -> Features:
        like = (-1,) + (1,) * (x.ndim - 2)
        return (x - self.mean.reshape(like)) * self.scale.reshape(like)


def teach(
    head: nn.Module,
    loss: Callable[[Streams], Tensor],
    rng: Streams,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.01,
) -> nn.Module:
    """`steps` of AdamW under a one-cycle learning rate on what `loss` makes of each step's streams;
    the head comes back frozen."""
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(weights, learning_rate, weight_decay=weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, learning_rate, total_steps=steps)
    head.train()
    with torch.enable_grad():  # also for who calls from within no_grad
        for _ in range(steps):
            adam.zero_grad()
            loss(rng).backward()
            adam.step()
            cycle.step()
            rng = rng.next()
    return head.eval().requires_grad_(False)


def made(head: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A head with first weights that are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "head"))
        return head()


def labelled(pictures: Float[Tensor, "batch ..."], masks: Masks) -> tuple[Tensor, Tensor]:
    """Of pictures, or what describes them, and masks those that have a label at all."""
    masks = masks.to(pictures.device).long()
    some = (masks != UNKNOWN).flatten(1).any(1)
    return pictures[some], masks[some]


def check_masks(name: str, masks: Given, pictures: Pictures, classes: int) -> None:
    """Raise `UserError` unless `masks` give every pixel of the pictures one of the classes, or
    UNKNOWN, and at least one pixel a class."""
    wanted = (len(pictures), *pictures.shape[2:])
    if tuple(masks.shape) != wanted or masks.is_floating_point():
        raise UserError(
            f"{name} are {masks.dtype} of shape {tuple(masks.shape)}; expected whole numbers of "
            f"shape {wanted}, a class for every pixel."
        )
    low, high = int(masks.min()), int(masks.max())
    if low < UNKNOWN or high < 0 or high >= classes:
        raise UserError(
            f"{name} run from {low} to {high}; expected classes from 0 to {classes - 1}, and "
            f"{UNKNOWN} where a pixel has no label."
        )
