"""A picture made to fit: resized until it covers a size, and what stands over cropped."""

from PIL import Image


def fitted(
    image: Image.Image, size: tuple[int, int], stretch: bool, place: tuple[float, float]
) -> Image.Image:
    """Resize (bicubic) so that `size` (width, height) is covered, and crop what stands over.

    `place` in [0, 1] says where along the slack the crop lies. Cropping and resizing are one
    step, so that a long thin picture is never blown up first.
    """
    (width, height), (across, down) = image.size, place
    scale = (width / size[0], height / size[1])
    if not stretch:
        scale = (min(scale), min(scale))
    if scale == (1, 1):  # no resampling: whole pixels, exact values
        left = min(int(across * (width - size[0] + 1)), width - size[0])
        top = min(int(down * (height - size[1] + 1)), height - size[1])
        return image.crop((left, top, left + size[0], top + size[1]))
    part = (min(width, size[0] * scale[0]), min(height, size[1] * scale[1]))
    left, top = (width - part[0]) * across, (height - part[1]) * down
    box = (left, top, min(width, left + part[0]), min(height, top + part[1]))
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
