"""What every test of the core shares: one thread, so that two tests never fight over a core."""

import torch

collect_ignore = ["typed"]  # for a type checker: nothing in it is to be run

torch.set_num_threads(1)
