"""What keeps a run from being spoilt: steps that would are not taken."""

import torch
from torch import Tensor, nn

LOOK = 10  # the host looks at the device's counts every so many steps
PATIENCE = 10  # steps skipped in a row after which a run goes back
SOUND = 2000  # steps without a skip after which the loss of half precision is scaled up again
LARGEST = 65536.0


class Guard(nn.Module):
    """Skips the steps whose loss or gradient is not finite, and counts those in a row.

    All of it stays on the device, so that the loop never waits for an answer. Of half precision
    it also keeps the `scale` that losses are multiplied with (Micikevicius et al. 2018, "Mixed
    precision training"): halved by every skip, doubled after 2,000 sound steps. `rate` is what a
    run that went back multiplies its learning rate with.
    """

    def __init__(self, half: bool = False) -> None:
        super().__init__()
        self.half = half
        for name in ("in_a_row", "sound", "returns"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.tensor(LARGEST if half else 1.0))
        self.register_buffer("rate", torch.ones((), dtype=torch.float64))

    def weigh(self, loss: Tensor, norm: Tensor, clip: float) -> tuple[Tensor, Tensor]:
        """(what the gradients are to be divided by, 1 where the step is to be skipped and else 0),
        given the mean loss and the norm of the gradients of `scale` times it. The norm that is
        left is at most `clip`."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(norm))
        divisor = self.scale * (norm / self.scale / clip).clamp(min=1.0)
        self.in_a_row.add_(1).mul_(bad)
        if self.half:
            self.sound.add_(1).mul_(~bad)
            grown = torch.where(self.sound >= SOUND, 2.0 * self.scale, self.scale)
            self.sound.mul_(self.sound < SOUND)
            self.scale.copy_(torch.where(bad, 0.5 * self.scale, grown).clamp(1.0, LARGEST))
        return divisor.float(), bad.float()

    def went_back(self, returns: int, rate: float) -> None:
        """Remember how often the run went back, and go on with a learning rate lowered so."""
        self.returns.fill_(returns)
        self.rate.fill_(rate)
        self.in_a_row.zero_()
