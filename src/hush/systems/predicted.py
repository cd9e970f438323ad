"""What a system's network may be asked to say, and the weight of its loss."""

from typing import Literal

from hush.denoisers.parameterisations import Noise, Parameterisation, V
from hush.objectives.weights import Simple, SNRPlusOne, Weight

Predicted = Literal["noise", "v"]

PREDICTED: dict[Predicted, tuple[Parameterisation, Weight]] = {
    "noise": (Noise(), Simple()),
    "v": (V(), SNRPlusOne()),
}
