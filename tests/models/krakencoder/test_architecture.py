"""The description of a network, and the weights that it asks for."""

from typing import Any

import pytest

from kraken_bids.exceptions import CheckpointError
from kraken_bids.models.krakencoder.architecture import Architecture


def test_an_architecture_survives_json() -> None:
    """Lists of JSON come back as the tuples they were."""
    arch = Architecture(("A", "B"), (3, 4), 2, hidden_sizes=(5,), latent_activation="tanh")

    assert (
        Architecture.from_json(
            {k: list(v) if isinstance(v, tuple) else v for k, v in arch.to_json().items()}
        )
        == arch
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"flavors": ("A", "A")},
        {"input_sizes": (3,)},
        {"latent_activation": "relu"},
        {"group_paths": ("sc->fc",)},
        {"colour": 1},
    ],
)
def test_an_impossible_architecture_is_refused(changes: dict[str, Any]) -> None:
    """Wrong lengths, unknown activations and unknown keys are CheckpointErrors."""
    values = {"flavors": ("A", "B"), "input_sizes": (3, 4), "latent_size": 2, **changes}

    with pytest.raises(CheckpointError):
        Architecture.from_json(values)


def test_weights_that_do_not_fit_are_named() -> None:
    """Missing, unknown and differently shaped weights are each found by their names."""
    arch = Architecture(("A",), (3,), 2, outer_bias=False, hidden_sizes=(4,))
    shapes = arch.weight_shapes()
    first = "encoders.A.linears.0.weight"

    assert shapes[first] == (4, 3)
    assert "encoders.A.linears.0.bias" not in shapes
    assert shapes["encoders.A.linears.1.bias"] == (2,)
    assert arch.find_misfit(shapes) == ""
    assert first in arch.find_misfit({k: v for k, v in shapes.items() if k != first})
    assert "also x" in arch.find_misfit({**shapes, "x": (1,)})
    assert "[3, 4]" in arch.find_misfit({**shapes, first: (3, 4)})
