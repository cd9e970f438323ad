"""What JPEG leaves of pictures."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hush.data.parallel import in_parallel

Pictures = Float[Tensor, "count channel height width"]


def through_jpeg(images: Pictures, qualities: Sequence[int]) -> Pictures:
    """Pictures in [0, 1], grey or in colour, written as JPEG of a quality each (1 to 95) and read
    again."""
    pixels = (images.detach().cpu().clamp(0.0, 1.0) * 255.0).round().byte().movedim(1, -1).numpy()

    def again(number: int) -> np.ndarray:
        stream, picture = io.BytesIO(), pixels[number]
        grey = picture.shape[-1] == 1
        Image.fromarray(picture[..., 0] if grey else picture).save(
            stream, "JPEG", quality=int(qualities[number])
        )
        read = np.asarray(Image.open(stream))
        return read[..., None] if grey else read

    read = torch.from_numpy(np.stack(in_parallel(again, range(len(pixels)))))
    return (read.movedim(-1, 1).to(images.dtype) / 255.0).to(images.device)
