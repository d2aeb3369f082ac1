"""The optimizer against torch's, on numpy and on torch; steps that are not finite."""

import numpy as np
import pytest
import torch

from kraken_bids.models.optimizer import GuardedAdamW


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_steps_are_those_of_torch(library: str) -> None:
    """Ten steps with decay; a part that is not named in a step stays as it is."""
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=7) for name in "ab"}
    expected = {name: torch.tensor(values, requires_grad=True) for name, values in start.items()}
    peer = torch.optim.AdamW(expected.values(), lr=0.05, weight_decay=0.1)
    place = torch.tensor if library == "torch" else np.array
    mine = {name: place(values) for name, values in start.items()}
    optimizer = GuardedAdamW(mine, weight_decay=0.1)

    for step in range(10):
        gradients = {name: rng.normal(size=7) for name in ("ab" if step % 3 else "a")}
        for name, values in expected.items():
            values.grad = torch.tensor(gradients[name]) if name in gradients else None
        peer.step()
        optimizer.step({name: place(values) for name, values in gradients.items()}, 0.05)

    for name, values in expected.items():
        np.testing.assert_allclose(mine[name], values.detach(), rtol=1e-6)
    assert optimizer.n_steps == {"a": 10, "b": 6}


def test_a_step_that_is_not_finite_is_left_out_as_a_whole() -> None:
    """No part moves, and it is counted."""
    values = {name: np.ones(3, np.float32) for name in "ab"}
    optimizer = GuardedAdamW(values, weight_decay=0.1)

    optimizer.step({"a": np.ones(3, np.float32), "b": np.array([1, np.nan, 1], np.float32)}, 0.1)

    assert optimizer.n_skipped == 1
    assert all((part == 1).all() for part in values.values())
    assert optimizer.n_steps == {"a": 0, "b": 0}
