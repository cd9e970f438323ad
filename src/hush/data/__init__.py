"""Files to batches and back; this room knows no diffusion."""

from hush.data.batches import batches, indices_at, order
from hush.data.decode import BrokenPicture
from hush.data.digits import digits
from hush.data.encoded import EncodedPictures
from hush.data.filled import filled
from hush.data.images import images
from hush.data.open import open_source
from hush.data.options import PictureOptions
from hush.data.pairs import Pairs, pairs
from hush.data.pictures import grid, save, strip
from hush.data.series import series
from hush.data.series_options import SeriesOptions
from hush.data.source import InMemory, Source, Subset, split
from hush.data.tables import table
from hush.data.windows import Windows

__all__ = [
    "BrokenPicture",
    "EncodedPictures",
    "InMemory",
    "Pairs",
    "PictureOptions",
    "SeriesOptions",
    "Source",
    "Subset",
    "Windows",
    "batches",
    "digits",
    "filled",
    "grid",
    "images",
    "indices_at",
    "open_source",
    "order",
    "pairs",
    "save",
    "series",
    "split",
    "strip",
    "table",
]
