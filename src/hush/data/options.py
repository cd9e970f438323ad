"""How pictures are read: one value, from which the command line derives its flags."""

import random
from dataclasses import dataclass
from typing import Literal, get_args

from hush.errors import UserError

Crop = Literal["centre", "random", "stretch"]
LARGEST = 16384
Place = tuple[float, float]  # of the slack a crop may lie in, across and down, each in [0, 1]
View = tuple[Place, bool]  # where a picture is cropped, and whether it is mirrored
CENTRE = (0.5, 0.5)


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are read."""

    size: int | tuple[int, int] | None = None
    """Side in pixels, or height and width; by default the pictures' own size, else 32."""
    channels: Literal[1, 3, 4] | None = None
    """1 grey, 3 colour, 4 colour and alpha; by default 1 if every picture is grey, else 3."""
    crop: Crop = "centre"
    """What is kept of a picture of another form: its centre, a random part, or all, stretched."""
    flip: bool = False
    """Mirror half of the pictures, left to right, at random."""
    background: float = 1.0
    """Grey level, 0 black to 1 white, behind transparent pictures."""
    labels: bool | None = None
    """Whether to read classes (subfolders, label columns); by default where there are any."""
    skip_broken: bool = False
    """Leave out pictures that cannot be read, instead of stopping."""

    def __post_init__(self) -> None:
        if self.size is not None:
            sides = self.size if isinstance(self.size, (tuple, list)) else (self.size,)
            good = len(sides) in (1, 2) and all(
                isinstance(side, int) and not isinstance(side, bool) and 0 < side <= LARGEST
                for side in sides
            )
            if not good or (len(sides) == 1 and not isinstance(self.size, int)):
                raise UserError(
                    f"size={self.size}: expected a whole number of pixels from 1 to {LARGEST:,}, "
                    "or two of them, height and width."
                )
        if self.channels not in (None, 1, 3, 4):
            raise UserError(
                f"channels={self.channels}: expected 1 (grey), 3 (colour) or 4 (colour and alpha)."
            )
        if self.crop not in get_args(Crop):
            raise UserError(f"crop={self.crop}: expected one of {', '.join(get_args(Crop))}.")
        number = isinstance(self.background, (int, float))
        if not number or not 0 <= self.background <= 1:
            raise UserError(
                f"background={self.background}: expected a grey level from 0 (black) to 1 (white)."
            )

    @property
    def height_width(self) -> tuple[int, int] | None:
        """The size as (height, width); None when the pictures decide."""
        if isinstance(self.size, int):
            return (self.size, self.size)
        return None if self.size is None else (self.size[0], self.size[1])

    def drawn(self, draw: int | None) -> View:
        """(the place of the crop, whether to mirror): what the seed `draw` says of a picture.

        None takes the centre, unmirrored.
        """
        if draw is None or not (self.flip or self.crop == "random"):
            return CENTRE, False
        dice = random.Random(draw)
        # Drawn in this order whatever the options, so that one never changes another's draw.
        across, down, turn = (dice.random() for _ in range(3))
        return (across, down) if self.crop == "random" else CENTRE, self.flip and turn < 0.5
