"""The smallest real data: scikit-learn's scans of handwritten digits, part of its install."""

import torch

from hush.data.source import InMemory


def digits() -> InMemory:
    """The 1,797 scans of handwritten digits (8x8) that come with scikit-learn.

    Values are k/16 with k from 0 to 16, hence 17 levels; the classes are "0" to "9".
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = torch.from_numpy(scans.images).to(torch.float32).unsqueeze(1) / 16
    labels = torch.from_numpy(scans.target).to(torch.int64)
    return InMemory(images, labels, [str(i) for i in range(10)], levels=17, name="digits")
