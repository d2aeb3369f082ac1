"""The loop of networks that are trained step by step: against torch's own, resumed, disturbed."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.models.step_training import (
    StepResult,
    StepSettings,
    StepState,
    StepTraining,
    train_steps,
)

Batch = tuple[Tensor, Tensor]
ON_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def make_network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def draw(rng: np.random.Generator, step: int) -> Batch:
    x = torch.from_numpy(rng.standard_normal((16, 4)).astype(np.float32))
    return x, x.sum(1, keepdim=True)


def loss(network: nn.Module, batch: Batch) -> Tensor:
    place = next(network.parameters()).device
    error: Tensor = (network(batch[0].to(place)) - batch[1].to(place)).square().mean()
    return error


def check_same(left: StepState, right: StepState) -> None:
    assert left.step == right.step
    assert left.arrays.keys() == right.arrays.keys()
    for name, values in left.arrays.items():
        assert values.tobytes() == right.arrays[name].tobytes(), name


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_GPU)])
def test_an_interrupted_training_ends_with_the_same_bytes(device: str) -> None:
    settings = StepSettings(n_steps=12, seed=5, device=device)
    whole = train_steps(make_network(), draw, loss, settings)
    kept = train_steps(
        make_network(), draw, loss, settings, watch=lambda _, result: result.step == 5
    )
    assert kept.step == 5
    resumed = train_steps(make_network(), draw, loss, settings, state=kept)
    check_same(whole, resumed)


def test_others_random_numbers_are_left_as_they_were() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    train_steps(make_network(), draw, loss, StepSettings(n_steps=2, device="cpu"))
    assert torch.equal(torch.rand(3), wanted)


def test_a_step_is_that_of_adamw_with_its_rate_clip_and_decay() -> None:
    settings = StepSettings(
        n_steps=4, warmup_share=0.5, learning_rate=0.1, weight_decay=0.2, clip=0.05, device="cpu"
    )
    network, other = nn.Linear(4, 1), nn.Linear(4, 1)
    other.load_state_dict(network.state_dict())
    train_steps(network, draw, loss, settings)
    plain = torch.optim.AdamW(
        [{"params": [other.weight]}, {"params": [other.bias], "weight_decay": 0.0}],
        betas=(0.9, 0.999), weight_decay=0.2,
    )  # fmt: skip
    for step, rate in enumerate((0.05, 0.1, 0.1, 0.05)):
        plain.zero_grad()
        loss(other, draw(np.random.default_rng([0, step]), step)).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 0.05)
        for group in plain.param_groups:
            group["lr"] = rate
        plain.step()
    torch.testing.assert_close(network.state_dict(), other.state_dict())


def test_weights_without_a_gradient_do_not_decay() -> None:
    network = nn.ModuleDict({"used": nn.Linear(4, 1), "idle": nn.Linear(4, 1)})
    before = network["idle"].weight.clone()
    train_steps(
        network, draw, lambda net, batch: loss(net["used"], batch),
        StepSettings(n_steps=3, device="cpu"),
    )  # fmt: skip
    assert torch.equal(network["idle"].weight, before)


def test_a_step_that_is_not_finite_is_left_out_and_counted() -> None:
    def draw_broken(rng: np.random.Generator, step: int) -> Batch:
        x, y = draw(rng, step)
        return (x * torch.nan, y) if step == 1 else (x, y)

    network = nn.Linear(4, 1)
    seen: list[Tensor] = []

    def watch(training: StepTraining[nn.Linear, Batch], result: StepResult) -> bool:
        seen.append(training.network.weight.detach().clone())
        return False

    state = train_steps(
        network, draw_broken, loss, StepSettings(n_steps=4, device="cpu"), watch=watch
    )
    assert state.n_skipped == 1
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_training_whose_steps_are_mostly_not_finite_is_no_result() -> None:
    with pytest.raises(ConnectomeError, match="3 of 3"):
        train_steps(
            nn.Linear(4, 1), draw, lambda net, batch: loss(net, batch) * torch.nan,
            StepSettings(n_steps=3, device="cpu"),
        )  # fmt: skip


def test_a_state_of_another_network_is_refused() -> None:
    settings = StepSettings(n_steps=2, device="cpu")
    state = train_steps(nn.Linear(4, 2), draw, loss, settings)
    with pytest.raises(CheckpointError, match="another one"):
        train_steps(nn.Linear(4, 1), draw, loss, settings, state=state)


@pytest.mark.parametrize(
    "wrong",
    [{"n_steps": 0}, {"seed": -1}, {"learning_rate": 0}, {"learning_rate": float("nan")},
     {"warmup_share": 2}, {"weight_decay": -1}, {"beta_2": 1}, {"clip": 0}],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="found"):
        StepSettings(**wrong)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="cuda:7"):
        train_steps(nn.Linear(4, 1), draw, loss, StepSettings(device="cuda:7"))
