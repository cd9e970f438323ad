"""Where encoded pictures lie."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from hush.data.decode import Header, header


class Store(ABC):
    """Encoded pictures by number: the files of a folder, rows of a table, members of shards."""

    blocks: tuple[int, ...] = ()
    """See `Source.blocks`."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def open(self, item: int) -> str | io.BytesIO:
        """A path or a stream that Pillow can open; raises `BrokenPicture` when there is none."""

    @abstractmethod
    def name(self, item: int) -> str:
        """What to call the picture in a message."""

    @abstractmethod
    def key(self, item: int) -> object:
        """What the picture is under in `EncodedPictures.broken`."""

    @abstractmethod
    def words(self, items: Sequence[int]) -> Iterable[str]:
        """What tells these pictures from any others, wherever the store lies; opens none."""

    def head(self, item: int) -> Header:
        """What the picture says of itself; raises `BrokenPicture`."""
        return header(self.open(item), self.name(item))
