"""What joins neighbouring volumes of a course over time."""

import numpy as np
import torch
from torch import Tensor


class TimeKernel:
    """A Gaussian over volumes, as free numbers of neighbouring volumes are joined by.

    Parameters
    ----------
    width : float
        Standard deviation, volumes; 0 joins nothing.
    like : Tensor
        Of the type and device of the numbers.
    """

    def __init__(self, width: float, like: Tensor) -> None:
        reach = int(np.ceil(4 * width))
        steps = torch.arange(-reach, reach + 1).to(like)
        self.weights = torch.exp(-0.5 * (steps / max(width, 1e-9)) ** 2)[None, None]
        self.is_one = reach == 0

    def smooth(self, values: Tensor) -> Tensor:
        """Weighted mean of the volumes around each, ``[n_courses, n_volumes]``."""
        return values if self.is_one else self._spread(values) / self._norm(values)

    def smooth_back(self, gradient: Tensor) -> Tensor:
        """Gradient by what was smoothed, from that by the result."""
        return gradient if self.is_one else self._spread(gradient / self._norm(gradient))

    def _norm(self, like: Tensor) -> Tensor:
        return self._spread(torch.ones_like(like[:1]))

    def _spread(self, values: Tensor) -> Tensor:
        reach = self.weights.shape[2] // 2
        spread = torch.nn.functional.conv1d(values[:, None], self.weights, padding=reach)
        return spread[:, 0]
