"""The run and the pictures that a command is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hush.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from hush.system import System


def begun(run: Path, threads: int | None, average: bool = True, series: bool = False) -> "System":
    """The system of a run with its averaged or its last weights, where it computes fastest here, on
    so many processor threads. Raises `UserError` for one of series, unless `series` are meant."""
    import torch

    from hush.systems.index import load
    from hush.world import World

    if not series:
        must_be_of_pictures(run)
    if threads:
        torch.set_num_threads(threads)
    system, device = load(run, average), World().device
    system.denoiser.to(device)
    system.codec.to(device)
    return system


def learnt(run: Path) -> tuple[str, ...]:
    """The names of the channels that a run learnt, as far as it says."""
    from hush.training.run import Run

    data = Run(run).record.get("data")
    names = data.get("channels") if isinstance(data, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def of_series(arguments: Sequence[str]) -> bool:
    """Whether the first run that a command line names is one of series."""
    from hush.training.run import Run

    for word in arguments:
        if (Path(word) / "system.json").is_file():
            shape = Run(word).record["arguments"].get("shape")
            return isinstance(shape, list) and len(shape) == 2
    return False


def must_be_of_pictures(run: Path) -> None:
    """Raise `UserError` for a run of series."""
    if of_series([str(run)]):
        raise UserError(
            f"{run} has learnt series, and this is done with pictures: with series there are hush "
            "impute, forecast, detect and generate."
        )


def opened(
    inputs: Sequence[Path], channels: int | None, size: tuple[int, int] | None = None
) -> list[tuple[str, "Tensor"]]:
    """(name, picture) of every file, and of every picture in every folder: (1, channel, height,
    width) in [0, 1], with as many channels as it has (`channels` None) or as it must have, in its
    own `size` or brought to one, as training does. Names are those of the files without their
    endings, and differ.

    Raises:
        UserError: a file that is not there or no picture, a grey picture where colour must be.
    """
    from hush.data import images
    from hush.data.images import is_picture, walk

    files: list[tuple[str, Path]] = []
    for given in inputs:
        if given.is_dir():
            inside = sorted(file for file in walk(str(given)) if is_picture(file))
            if not inside:
                raise UserError(f"{given} has no pictures in it.")
            files += [(str(Path(file).with_suffix("")), given / file) for file in inside]
        else:
            files.append((given.stem, given))
    pictures, names = [], set()
    for name, file in files:
        picture = images(file, size=size).read([0])["image"]
        if channels is not None and picture.shape[1] < min(channels, 3):
            raise UserError(
                f"{file} is grey, and the model is of pictures in colour: colourise it first, or "
                "save it in colour."
            )
        if channels is not None and picture.shape[1] != channels:
            picture = images(file, size=size, channels=channels).read([0])["image"]
        while name in names:
            name += "_"
        names.add(name)
        pictures.append((name, picture))
    return pictures
