"""Series told stamp by stamp from a recurrent network's memory of the past."""

from hush.networks.recurrent import Recurrent
from hush.schedules import Tabulated
from hush.system import Recipe, System, cited
from hush.systems.csdi import told
from hush.tasks.ahead import Ahead


@cited(
    "Rasul et al. 2021, Autoregressive denoising diffusion models for multivariate probabilistic "
    "time series forecasting, arXiv:2101.12072"
)
def timegrad(
    shape: tuple[int, ...],
    features: int = 0,
    horizon: int = 0,
    cells: int = 40,
    layers: int = 2,
    width: int = 8,
    depth: int = 8,
    dropout: float = 0.1,
    chain: int = 100,
    beta_first: float = 1e-5,
    beta_last: float = 0.01,
    recipe: Recipe = Recipe(steps=20_000, batch=64, learning_rate=1e-3, warmup=0),
) -> System:
    """TimeGrad: the noise of each stamp predicted from the state h of a recurrent network over all
    before it, E ‖ε - ε_θ(x_t, h_{n-1}, t)‖²; what is to come is drawn stamp by stamp, each from
    what was drawn before it.

    A window's values are in units of their channel's deviation over all that is learnt (the authors
    divide by the mean of its context).

    Args:
        shape: of one window, (channel, length).
        features: covariates that are told at every stamp.
        horizon: stamps that are told ahead in use; by default as many as a window leaves.
        cells: of each layer of the LSTM.
        layers: of the LSTM.
        width: channels of the network of noise.
        depth: its blocks.
        dropout: share of what the LSTM reads and says that is dropped in training.
        chain: T, steps of the chain.
        beta_first: β_1 of a chain of 1000 steps (scaled by 1000/T for others).
        beta_last: β_T, likewise.
        recipe: how it is trained.
    """
    task = Ahead.of(shape, features, horizon or max(1, shape[-1] - 1), "forecast")
    network = Recurrent(shape[0], cells, layers, width, depth, features, dropout=dropout)
    return told(task, network, Tabulated.linear(chain, beta_first, beta_last), recipe)
