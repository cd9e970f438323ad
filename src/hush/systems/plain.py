"""What a system that draws data from nothing is about: pictures, or windows of series."""

from hush.codecs import Codec, PerChannel
from hush.tasks import Generate
from hush.tasks.windows import GenerateSeries


def drawn(
    shape: tuple[int, ...], classes: tuple[str, ...], pictures: Codec, unit: float = 1.0
) -> tuple[Codec, Generate]:
    """(codec, task) for events of `shape`: of pictures (channel, height, width) the codec that is
    given, of windows of series (channel, length) each channel to mean 0 and deviation `unit`."""
    if len(shape) == 2:
        return PerChannel(shape[0], unit=unit), GenerateSeries(shape, classes)
    return pictures, Generate(shape, classes)
