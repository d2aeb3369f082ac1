"""The optimizer of the published recipe, which leaves out steps that are not finite."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Values = Any
"""A flat array of numpy, or a tensor of torch."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Of AdamW, as torch has them."""


class GuardedAdamW:
    """AdamW over parts of a network that are stepped each by itself or together.

    A step whose gradients are not finite is left out and counted. Parts that a step does not name
    keep their weights and moments: neither decay nor momentum moves them.

    Parameters
    ----------
    parameters : mapping of str to flat array
        Weights of each part; changed in place.
    weight_decay : float
        Of AdamW.

    Source: Loshchilov & Hutter 2019 (decoupled weight decay), the rules of ``torch.optim.AdamW``.
    """

    def __init__(self, parameters: Mapping[str, Values], *, weight_decay: float) -> None:
        self._parameters = dict(parameters)
        self._weight_decay = weight_decay
        self.totals = {name: values * 0 for name, values in self._parameters.items()}
        """First moments, divided by 1 - :data:`BETA_1`."""
        self.squares = {name: values * 0 for name, values in self._parameters.items()}
        """Second moments, divided by 1 - :data:`BETA_2`."""
        self.n_steps = dict.fromkeys(self._parameters, 0)
        """Steps that each part has made."""
        self.n_taken, self.n_skipped = 0, 0
        """Steps made, and steps left out."""

    def arrays(self) -> dict[str, dict[str, Values]]:
        """Give the arrays that a continuation needs, by kind and part; to be changed in place."""
        return {"weights": self._parameters, "totals": self.totals, "squares": self.squares}

    def step(
        self,
        gradients: Mapping[str, Values],
        learning_rate: float,
        run: Callable[[Callable[[str], None], Iterable[str]], object] | None = None,
    ) -> None:
        """Take a step of the parts whose gradients are given.

        Parameters
        ----------
        gradients : mapping of str to flat array
            Used up.
        run : callable, optional
            Called with a function and the parts to call it for, in any order or at once.
        """
        if not math.isfinite(sum(float(values @ values) for values in gradients.values())):
            self.n_skipped += 1
            return
        self.n_taken += 1

        def step_part(name: str) -> None:
            self._step_part(name, gradients[name], learning_rate)

        if run is None:
            for name in gradients:
                step_part(name)
        else:
            run(step_part, gradients)

    def _step_part(self, name: str, gradient: Values, learning_rate: float) -> None:
        """Move one part; in place throughout, since each of its arrays fits a core's cache."""
        self.n_steps[name] += 1
        n_steps = self.n_steps[name]
        values, total, square = self._parameters[name], self.totals[name], self.squares[name]
        values *= 1 - learning_rate * self._weight_decay
        total *= BETA_1
        total += gradient
        square *= BETA_2
        gradient *= gradient
        square += gradient
        # moments are running means: 1 - beta times these sums, and more while they fill
        share = (1 - BETA_1) / (1 - BETA_1**n_steps)
        root = math.sqrt((1 - BETA_2) / (1 - BETA_2**n_steps))
        length = square**0.5
        length += EPSILON / root
        gradient[:] = total  # its memory is used again
        gradient /= length
        gradient *= learning_rate * share / root
        values -= gradient
