"""What every test of the core shares: one thread, so that two tests never fight over a core."""

import torch

torch.set_num_threads(1)
