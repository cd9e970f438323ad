"""A run's folder: what is in it, and how it is written so that nothing is ever half there.

system.json          name, arguments, data, recipe, hush version
model.safetensors    the weights of the newest checkpoint
ema.safetensors      their average: what samples are drawn from
state/000001000/     a whole checkpoint: both of them, the optimiser, and state.json
metrics.jsonl        one line per report
samples/             grids drawn on the way
tensorboard/         the same reports as curves
"""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hush.errors import UserError

Tensors = dict[str, Tensor]
KEPT = 2  # checkpoints that stay on disk: the newest, and one to fall back on


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Write a file or folder aside, flush it to the disk, and put it in place in one motion."""
    aside = path.with_name(f".{path.name}.partial")
    _remove(aside)
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        fill(aside)
        for file in [aside, *(aside.iterdir() if aside.is_dir() else ())]:
            _flush(file)
        os.replace(aside, path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        _remove(aside)
        raise UserError(
            f"{path} could not be written ({error}). Everything saved before is still there: make "
            "room or choose another --out, and run the same command again to go on."
        ) from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_tensors(path: Path) -> Tensors:
    """The tensors of a safetensors file."""
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing. Expected a run folder written by `hush train`; is the path right?"
        ) from error
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path} is damaged ({error}). Run `hush train` again with the same --out: it goes on "
            "from the newest whole checkpoint."
        ) from error


def stored(denoiser: nn.Module, codec: nn.Module) -> Tensors:
    """The weights of a denoiser and what its codec measured, as one file's tensors."""
    parts = {"denoiser": denoiser.state_dict(), "codec": codec.state_dict()}
    return {
        f"{part}.{name}": value.detach().contiguous()
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


def load_into(denoiser: nn.Module, codec: nn.Module, path: Path) -> None:
    """Give a denoiser and a codec the tensors that `stored` named."""
    tensors = read_tensors(path)
    for part, module in (("denoiser", denoiser), ("codec", codec)):
        own = {
            name.removeprefix(f"{part}."): value
            for name, value in tensors.items()
            if name.startswith(f"{part}.")
        }
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()
            raise UserError(
                f"{path} does not fit the system its run names: {reason} Were files of two runs "
                "mixed? Bring back the folder's own, or train anew with another --out."
            ) from error


def jsonable(value: Any) -> Any:
    """Dataclasses as dictionaries and tuples as lists, as they come back from JSON."""
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    return [jsonable(item) for item in value] if isinstance(value, tuple | list) else value


class Run:
    """The folder of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def record(self) -> dict[str, Any]:
        """What `system.json` says: name, arguments, data, hush version."""
        path = self.path / "system.json"
        try:
            record = json.loads(path.read_text())
            if not {"name", "arguments"} <= record.keys():
                raise ValueError("it has no name and arguments of a system")
        except FileNotFoundError as error:
            raise UserError(
                f"{self.path} is not a run: it has no system.json. Expected a folder written by "
                "`hush train … --out FOLDER`."
            ) from error
        except (ValueError, AttributeError, OSError) as error:
            raise UserError(f"{path} cannot be read as the record of a run: {error}.") from error
        return record

    def claim(self, record: dict[str, Any]) -> None:
        """Make this folder the run of `record`, or check that it already is; what does not make it
        another run (the recipe, say) is brought up to date."""
        path = self.path / "system.json"
        if path.exists():
            if self.record == record:
                return
            self._check(self.record, record)
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(
                f"{self.path} already holds other files and no run: choose a new --out."
            )
        write(path, lambda aside: aside.write_text(json.dumps(record, indent=2) + "\n"))

    def _check(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        if old["name"] != new["name"]:
            raise UserError(
                f"{self.path} is a run of {old['name']}, not of {new['name']}: choose another "
                "--out, or train the same system to go on."
            )
        for key, value in new["arguments"].items():
            if old["arguments"].get(key) != value:
                raise UserError(
                    f"{self.path} was begun with {key} = {old['arguments'].get(key)}, not {value}: "
                    "choose another --out, or the same settings to go on."
                )

    def checkpoints(self) -> list[Path]:
        """The folders of the checkpoints, oldest first."""
        return sorted(path for path in (self.path / "state").glob("[0-9]*") if path.is_dir())

    def save(self, step: int, tensors: dict[str, Tensors], state: dict[str, Any]) -> None:
        """Write a checkpoint of `step` finished steps, point the run's weights at it and drop the
        oldest. `tensors` are the files to write, "model" and "ema" among them."""
        folder = self.path / "state" / f"{step:09d}"

        def fill(aside: Path) -> None:
            aside.mkdir()
            sums = {}
            for name, content in tensors.items():
                file = aside / f"{name}.safetensors"
                safetensors.torch.save_file(content, file)
                sums[file.name] = _checksum(file)
            text = json.dumps({**state, "step": step, "checksums": sums}, indent=2)
            (aside / "state.json").write_text(text + "\n")

        if not folder.exists():
            write(folder, fill)
        self._publish(folder)
        for old in self.checkpoints()[:-KEPT]:
            shutil.rmtree(old)

    def _publish(self, folder: Path) -> None:
        for name in ("model.safetensors", "ema.safetensors"):
            write(self.path / name, lambda aside, name=name: _link(folder / name, aside))

    def newest(self, tell: Callable[[str], None]) -> tuple[dict[str, Any], Path] | None:
        """The state and folder of the newest whole checkpoint; a damaged one is set aside by name
        and the one before is used. None where there is none yet."""
        for folder in reversed(self.checkpoints()):
            try:
                state = json.loads((folder / "state.json").read_text())
                for name, expected in state["checksums"].items():
                    if _checksum(folder / name) != expected:
                        raise ValueError(f"{name} is not what was written")
            except (OSError, ValueError, KeyError) as error:
                aside = folder.with_name(f"damaged-{folder.name}")
                _remove(aside)
                folder.rename(aside)
                tell(f"The checkpoint {folder} is damaged ({error}); it is kept as {aside.name}.")
                continue
            return state, folder
        if any((self.path / "state").glob("damaged-*")):
            raise UserError(
                f"No whole checkpoint is left in {self.path / 'state'}: choose another --out to "
                "begin anew, or bring back an older copy of that folder."
            )
        return None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # the same bytes under a second name, where the disk can do that
    except OSError:
        shutil.copyfile(source, target)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
