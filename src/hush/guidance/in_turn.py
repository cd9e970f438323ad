"""Several guidances as one."""

from dataclasses import dataclass

from hush.denoisers import Denoiser
from hush.guidance.base import Guidance


@dataclass(frozen=True)
class InTurn(Guidance):
    """One guidance after the other, the first one nearest to the network. With none of them there
    is no guidance."""

    parts: tuple[Guidance, ...] = ()

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        for part in self.parts:
            denoiser = part(denoiser)
        return denoiser
