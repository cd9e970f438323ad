"""Several tasks at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from hush.rng import Streams
from hush.tasks.holes import Inpaint, Uncrop
from hush.tasks.images import Colourise, Denoise, FromPicture, Given, Pictures, Unjpeg


@dataclass(frozen=True)
class Mixed(FromPicture):
    """One of several tasks for each picture, all alike; the network is not told which."""

    tasks: tuple[FromPicture, ...] = ()

    def spoilt(self, data: Pictures, rng: Streams) -> Given:
        kind = (rng.uniform() * len(self.tasks)).long()
        given = torch.empty_like(data)
        masks = torch.ones(len(data), 1, *data.shape[2:], dtype=torch.bool, device=data.device)
        for number, task in enumerate(self.tasks):
            mine = kind == number
            if mine.any():
                own = replace(rng.branch("mixed"), index=rng.index[mine])
                picture, mask = task.spoilt(data[mine], own)
                given[mine] = picture
                if mask is not None:
                    masks[mine] = mask
        return given, masks


PALETTE: dict[str, Callable[..., FromPicture]] = {
    "colourise": Colourise,
    "inpaint": Inpaint,
    "uncrop": Uncrop,
    "jpeg": Unjpeg,
    "denoise": Denoise,
}
