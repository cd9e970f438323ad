"""Tensors on the disk: in one file, or in the parts that many processes wrote.

A part `name-00001-of-00004.safetensors` holds, under the names of the whole tensors, the rows that
process 1 of 4 had. A whole tensor is its rows in the order of the parts, so what four processes
wrote, any number can read, each only the rows it needs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hush.errors import UserError

Tensors = dict[str, Tensor]


def part_name(name: str, part: int, parts: int) -> str:
    """The file of one of `parts` processes; of a single one, the plain name."""
    return f"{name}.safetensors" if parts == 1 else f"{name}-{part:05d}-of-{parts:05d}.safetensors"


def cut(tensor: Tensor) -> bool:
    """Whether processes have a share of its rows each: it is a DTensor, told by what it has, since
    to import the class takes half a second."""
    return hasattr(tensor, "device_mesh")


def snapshot(tensors: Mapping[str, Tensor], main: bool = True) -> Tensors:
    """A copy, in the processor's memory, of what of the tensors is this process's to write: its
    rows of those that are sharded; of the others everything on the main process, else nothing."""
    kept = {}
    for name, tensor in tensors.items():
        if cut(tensor):
            local = tensor.to_local()
            if local.shape[0] > 0:
                kept[name] = _copied(local)
        elif main:
            kept[name] = _copied(tensor)
    return kept


def _copied(tensor: Tensor) -> Tensor:
    # Into locked pages a device copies at the full speed of its bus; torch keeps and reuses them.
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return copy.copy_(tensor.detach())


class Stored:
    """The tensors named `name` in a folder: `name.safetensors`, or all its parts.

    Raises `UserError` for a file that is missing or damaged.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.safetensors"
        files = [self.path] if self.path.is_file() else sorted(folder.glob(f"{name}-*-of-*"))
        if not files:
            raise UserError(
                f"{self.path} is missing. Expected a run folder written by `hush train`; is the "
                "path right?"
            )
        self._files = [self._opened(file) for file in files]
        self.names = list(dict.fromkeys(name for file in self._files for name in file.keys()))  # noqa: SIM118

    def _opened(self, file: Path) -> Any:
        return self._sound(lambda: safetensors.safe_open(file, "pt"), file)

    def _sound(self, read: Callable[[], Any], file: Path) -> Any:
        try:
            return read()
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{file} is damaged ({error}). Run `hush train` again with the same --out: it goes "
                "on from the newest whole checkpoint."
            ) from error

    def _holding(self, name: str) -> list[Any]:
        holding = [file for file in self._files if name in file.keys()]  # noqa: SIM118
        if not holding:
            raise self.unfit(f"it lacks {name}")
        return holding

    def unfit(self, what: str) -> UserError:
        """That these are not the tensors of this run, and why."""
        return UserError(
            f"{self.path} does not fit the system its run names: {what}. Were files of two runs "
            "mixed? Bring back the folder's own, or train anew with another --out."
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a whole tensor."""
        shapes = [tuple(file.get_slice(name).get_shape()) for file in self._holding(name)]
        return (sum(s[0] for s in shapes), *shapes[0][1:]) if shapes[0] else ()

    def kind(self, name: str) -> torch.dtype:
        """The type of a tensor's elements."""
        if not self.shape(name):
            return self.whole(name).dtype
        return self._holding(name)[0].get_slice(name)[:0].dtype

    def whole(self, name: str) -> Tensor:
        """A whole tensor."""
        parts = [
            self._sound(lambda file=file: file.get_tensor(name), self.path)
            for file in self._holding(name)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Some rows of a tensor."""
        found, first = [], 0
        for file in self._holding(name):
            part = file.get_slice(name)
            count = part.get_shape()[0]
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                found.append(part[low:high])
            first += count
        return torch.cat(found)

    def join(self, path: Path) -> None:
        """Write all of them to one file."""
        safetensors.torch.save_file({name: self.whole(name) for name in self.names}, path)

    def check(self, name: str, target: Tensor) -> None:
        """Raises `UserError` where a tensor has not the shape and the type of `target`."""
        shape, kind = self.shape(name), self.kind(name)
        if shape != tuple(target.shape):
            raise self.unfit(f"{name} has shape {shape}, expected {tuple(target.shape)}")
        if kind != target.dtype:
            raise self.unfit(f"{name} is of {kind}, expected {target.dtype}")

    def fill(self, name: str, target: Tensor) -> None:
        """Copy a tensor, or the rows of it that this process has, into `target`. Raises `UserError`
        where it does not fit."""
        self.check(name, target)
        if not cut(target):
            target.copy_(self.whole(name))
            return
        local, mesh = target.to_local(), target.device_mesh
        each = -(-target.shape[0] // mesh.size())
        start = min(target.shape[0], mesh.get_rank() * each)
        if local.shape[0] > 0:
            local.copy_(self.rows(name, start, start + local.shape[0]))


@contextmanager
def no_larger(than: Stored) -> Iterator[None]:
    """Around what builds a network that is to take stored weights: refuse one that has many more,
    before their memory is touched."""
    left = 100_000 + 2 * sum(math.prod(than.shape(name)) for name in than.names)

    def count(module: nn.Module, name: str, weight: Tensor | None) -> None:
        nonlocal left
        left -= 0 if weight is None else weight.numel()
        if left < 0:
            raise UserError(f"they make a network larger than the weights in {than.path}")

    counting = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        counting.remove()


def stored(denoiser: nn.Module, codec: nn.Module) -> Tensors:
    """The weights of a denoiser and what its codec measured, as one file's tensors."""
    parts = {"denoiser": denoiser.state_dict(), "codec": codec.state_dict()}
    return {
        f"{part}.{name}": value.detach()
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


@torch.no_grad()
def load_into(denoiser: nn.Module, codec: nn.Module, folder: Path, name: str) -> None:
    """Give a denoiser and a codec the tensors that `stored` named. Raises `UserError`, and changes
    nothing, where names, shapes or types are not theirs."""
    found, wanted = Stored(folder, name), stored(denoiser, codec)
    _check(found, wanted)
    for key, target in wanted.items():
        found.fill(key, target)


def _check(found: Stored, wanted: Tensors) -> None:
    missing, strange = wanted.keys() - set(found.names), set(found.names) - wanted.keys()
    if missing or strange:
        what = f"it {_listed('lacks', missing)}{_listed('has also', strange, missing)}"
        raise found.unfit(what)
    for key, target in wanted.items():
        found.check(key, target)


def _listed(verb: str, names: Iterable[str], before: Iterable[str] = ()) -> str:
    names = sorted(names)
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{' and ' if before else ''}{verb} {names[0]}{more}"
