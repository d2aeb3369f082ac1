"""Steps written by hand against those of autograd; continuation; subjects who lack flavors."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.models.krakencoder import affine_decoder, trainer
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.autograd_steps import AutogradSteps
from kraken_bids.models.krakencoder.training import Trainer, TrainingData, TrainingSettings

NAMES = ("FCcorr_mini_hpf", "FCpcorr_mini_hpf", "SCifod2act_mini_volnorm")
GROUPS = dict(zip(NAMES, ("FC", "FC", "SC"), strict=True))
N_SUBJECTS = 23
PLAIN = TrainingSettings(
    latent_size=5, dropout=0.0, batch_size=6, learning_rate=1e-3, schedule="joint", device="cpu"
)
VARIANTS = {
    "deep": {"hidden_sizes": (7, 6), "negative_slope": 0.1, "alternate_tanh": True},
    "tanh": {"latent_activation": "tanh", "latent_normalize": False},
    "intergroup": {"intergroup": True, "intergroup_sizes": (6,)},
}


def make_data(*, is_complete: bool = True, has_targets: bool = False) -> TrainingData:
    """Give reduced inputs of unequal lengths; some subjects lack the first or the last flavor."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(N_SUBJECTS, 4))
    inputs = {
        name: (hidden @ rng.normal(size=(4, 9 + k)) + rng.normal(size=(N_SUBJECTS, 9 + k)))
        for k, name in enumerate(NAMES)
    }
    inputs = {name: rows.astype(np.float32) for name, rows in inputs.items()}
    if not is_complete:
        inputs[NAMES[0]][3:9] = np.nan
        inputs[NAMES[2]][7:12] = np.nan
    targets = rng.normal(size=(N_SUBJECTS, 5)).astype(np.float32) if has_targets else None
    return TrainingData(inputs, targets)


def start(data: TrainingData, settings: TrainingSettings, **kwargs: Weights) -> Trainer:
    sizes = {name: rows.shape[1] for name, rows in data.inputs.items()}
    return Trainer(settings.design(sizes, GROUPS), data, settings, **kwargs)


def assert_same(first: Trainer, second: Trainer) -> None:
    for name, values in first.weights.arrays.items():
        np.testing.assert_array_equal(second.weights.arrays[name], values, err_msg=name)


@pytest.mark.parametrize("schedule", ["joint", "paths"])
@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("kind", ["pairs", "loose", "fixed"])
def test_steps_by_hand_are_those_of_autograd(
    monkeypatch: pytest.MonkeyPatch, schedule: str, is_complete: bool, kind: str
) -> None:
    """Without dropout both give the same weights and losses."""
    settings = replace(PLAIN, schedule=schedule)
    data = make_data(is_complete=is_complete, has_targets=kind != "pairs")
    data = replace(data, is_fixed=kind == "fixed")
    by_hand = start(data, settings)
    monkeypatch.setattr(trainer, "_choose_steps", AutogradSteps)
    by_autograd = start(data, settings)

    for _ in range(3):
        expected, found = by_autograd.run_epoch(), by_hand.run_epoch()

    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert found.latent_similarity == pytest.approx(expected.latent_similarity, rel=1e-5)
    assert found.path_losses == pytest.approx(expected.path_losses, rel=1e-5)
    for name, values in by_autograd.weights.arrays.items():
        np.testing.assert_allclose(by_hand.weights.arrays[name], values, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("schedule", ["joint", "paths"])
@pytest.mark.parametrize("variant", [{}, *VARIANTS.values()], ids=["plain", *VARIANTS])
def test_a_restored_training_goes_on_to_the_same_bytes(
    schedule: str, variant: dict[str, object]
) -> None:
    """Two epochs, a state and two more are four undisturbed ones."""
    settings = replace(PLAIN, schedule=schedule, dropout=0.3, **variant)
    data = make_data(is_complete=False)
    undisturbed, first, second = (start(data, settings) for _ in range(3))
    results = [undisturbed.run_epoch() for _ in range(4)]

    for _ in range(2):
        first.run_epoch()
    second.restore(first.state())
    first.run_epoch()  # the state that was given does not move with it
    for _ in range(2):
        result = second.run_epoch()

    assert_same(undisturbed, second)
    assert (result.epoch, result.loss) == (4, results[-1].loss)


@pytest.mark.parametrize("schedule", ["joint", "paths"])
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=[*VARIANTS])
def test_other_networks_learn(schedule: str, variant: dict[str, object]) -> None:
    """The loss falls, and each part of the network moves."""
    training = start(make_data(), replace(PLAIN, schedule=schedule, learning_rate=1e-2, **variant))
    before = training.weights

    results = [training.run_epoch() for _ in range(12)]

    assert results[-1].loss < 0.98 * results[0].loss
    for name, values in training.weights.arrays.items():
        assert not np.array_equal(values, before.arrays[name]), name


@pytest.mark.parametrize("dropout", [0.5, 0.2])
@pytest.mark.parametrize("is_complete", [True, False])
def test_the_number_of_threads_changes_no_bit(dropout: float, is_complete: bool) -> None:
    """One thread, two or three."""
    settings = replace(PLAIN, dropout=dropout)
    trainers = []
    for n_threads in (1, 2, 3):
        trainers.append(start(make_data(is_complete=is_complete), settings))
        with threadpool_limits(n_threads, user_api="blas"):
            trainers[-1].run_epoch()

    for other in trainers[1:]:
        assert_same(trainers[0], other)


@pytest.mark.parametrize("is_complete", [True, False])
def test_blocks_of_sources_add_up_to_all(
    monkeypatch: pytest.MonkeyPatch, is_complete: bool
) -> None:
    """Predictions that exceed a cache are compared in parts: losses and gradients are the same."""
    whole, parts = (start(make_data(is_complete=is_complete), PLAIN) for _ in range(2))

    expected = whole.run_epoch()
    monkeypatch.setattr(affine_decoder, "MAX_VALUES", 2 * PLAIN.batch_size * 11)
    found = parts.run_epoch()

    assert found.path_losses == pytest.approx(expected.path_losses, rel=1e-5)
    for name, values in whole.weights.arrays.items():
        np.testing.assert_allclose(parts.weights.arrays[name], values, atol=1e-6, err_msg=name)


def test_the_seed_decides() -> None:
    """Another seed gives other weights."""
    first, second = (start(make_data(), replace(PLAIN, seed=seed)) for seed in (0, 1))

    assert not np.array_equal(*(next(iter(t.weights.arrays.values())) for t in (first, second)))


@pytest.mark.parametrize("schedule", ["joint", "paths"])
def test_hostile_settings_leave_finite_weights(schedule: str) -> None:
    """Latent 8, dropout 0.5, learning rate 5e-3: rows of zeros are met in every epoch."""
    settings = replace(
        PLAIN, latent_size=8, dropout=0.5, learning_rate=5e-3, schedule=schedule, batch_size=4
    )
    training = start(make_data(is_complete=False), settings)

    results = [training.run_epoch() for _ in range(40)]

    for values in training.weights.arrays.values():
        assert np.isfinite(values).all()
    assert results[-1].n_skipped == 0
    assert all(np.isfinite(result.loss) for result in results)


@pytest.mark.parametrize("schedule", ["joint", "paths"])
def test_flavors_that_nobody_has_together_train_what_they_can(schedule: str) -> None:
    """A path without two subjects has no loss, and what only it would train stays."""
    data = make_data()
    data.inputs[NAMES[0]][:12] = np.nan
    data.inputs[NAMES[2]][12:] = np.nan
    training = start(data, replace(PLAIN, schedule=schedule))

    result = training.run_epoch()

    lacking = {(NAMES[0], NAMES[2]), (NAMES[2], NAMES[0])}
    assert set(result.path_losses) == {(a, b) for a in NAMES for b in NAMES} - lacking


def test_weights_to_begin_with_are_taken() -> None:
    """They are copied: the training does not move the caller's."""
    first = start(make_data(), PLAIN)
    first.run_epoch()
    given = first.weights
    kept = {name: values.copy() for name, values in given.arrays.items()}

    second = start(make_data(), PLAIN, start=given)
    assert_same(first, second)
    second.run_epoch()

    for name, values in kept.items():
        np.testing.assert_array_equal(given.arrays[name], values)


def test_a_state_of_another_network_is_refused() -> None:
    """It says in what it differs."""
    state = start(make_data(), replace(PLAIN, latent_size=4)).state()

    with pytest.raises(CheckpointError, match=r"differs in squares\.decoders\.FCcorr_mini_hpf"):
        start(make_data(), PLAIN).restore(state)


def test_data_that_do_not_fit_are_refused() -> None:
    """Holes in rows, other lengths, too few subjects, nobody with two flavors."""
    data = make_data()
    holed = make_data()
    holed.inputs[NAMES[1]][4, 2] = np.nan
    alone = make_data()
    for k, rows in enumerate(alone.inputs.values()):
        rows[np.arange(N_SUBJECTS) != k] = np.nan
    short = TrainingData({name: rows[:5] for name, rows in data.inputs.items()})
    longer = {**data.inputs, NAMES[0]: np.ones((30, 9), np.float32)}
    for given, message in (
        (holed, r"FCpcorr_mini_hpf: .* the first is row 4"),
        (short, "at least one batch of 6 training subjects; found 5"),
        (TrainingData(longer), "same subjects"),
        (alone, "two training subjects who have both flavors"),
    ):
        with pytest.raises(ConnectomeError, match=message):
            start(given, PLAIN)
    design = PLAIN.design(dict.fromkeys(NAMES, 9), GROUPS)
    with pytest.raises(ConnectomeError, match="reduced inputs of the lengths"):
        Trainer(design, data, PLAIN)
