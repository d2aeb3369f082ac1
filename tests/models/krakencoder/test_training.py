"""Training: people whose flavors share a latent are found again; faults spoil no weights."""

import numpy as np
import pytest
import torch

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.training import (
    EpochResult,
    Trainer,
    TrainingData,
    TrainingSettings,
    train_model,
)
from kraken_bids.scores.metrics import rank_own, row_correlations

NAMES = (
    "FCcorr_mini_hpf",
    "FCpcorr_mini_hpf",
    "SCifod2act_mini_volnorm",
    "SCsdstream_other_volnorm",
)
SMALL = TrainingSettings(
    transform="pca16", latent_size=12, batch_size=20, n_epochs=25, learning_rate=2e-3, dropout=0.1,
    device="cpu", schedule="paths",
)  # fmt: skip


def make_cohort(n_subjects: int, seed: int = 0) -> dict[Flavor, np.ndarray]:
    """Edges of every flavor are a linear view of one hidden vector per subject, with noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_subjects, 8))
    return {
        parse_flavor(name): (
            hidden @ rng.normal(size=(8, 200))
            + 2 * rng.normal(size=(n_subjects, 200))
            + rng.normal(size=200)
        ).astype(np.float32)
        for name in NAMES
    }


def test_held_out_subjects_are_identified_across_flavors() -> None:
    """Predicted from another flavor, unseen subjects are matched far above chance."""
    cohort = make_cohort(130)
    history: list[EpochResult] = []

    model = train_model(
        {flavor: x[:100] for flavor, x in cohort.items()}, settings=SMALL, on_epoch=history.append
    )

    ranks = []
    for source in model.flavors:
        latents = model.encode(source, cohort[source][100:])
        for target in set(model.flavors) - {source}:
            cc = row_correlations(cohort[target][100:], model.decode(target, latents))
            ranks.extend(rank_own(cc))
    assert np.mean(1 - np.array(ranks) / 30) > 0.85  # chance 0.52
    assert np.mean(np.array(ranks) == 0) > 0.35  # chance 0.03
    assert [result.epoch for result in history] == list(range(1, 26))
    assert history[-1].loss < 0.7 * history[0].loss
    assert history[-1].n_skipped == 0
    assert model.provenance["Training"]["latent_size"] == 12


def test_a_seed_fixes_the_training() -> None:
    """The same seed gives the same weights."""
    cohort = make_cohort(40)
    settings = TrainingSettings("pca8", 6, batch_size=20, n_epochs=2, device="cpu")

    first, again = (train_model(cohort, settings=settings) for _ in range(2))

    for name, values in first.network.arrays.items():
        np.testing.assert_array_equal(again.network.arrays[name], values, err_msg=name)


def test_steps_without_a_finite_gradient_are_skipped_and_counted() -> None:
    """Numbers too large for float32 leave finite weights behind, which are no result."""
    broken = {f.name: np.float32(x * 1e18) for f, x in make_cohort(40).items()}
    settings = TrainingSettings("none", 6, batch_size=20, n_epochs=1, device="cpu")
    sizes = {name: x.shape[1] for name, x in broken.items()}
    trainer = Trainer(settings.design(sizes, {}), TrainingData(broken), settings)

    assert trainer.run_epoch().n_skipped == 2
    for values in trainer.weights.arrays.values():
        assert np.isfinite(values).all()
    with pytest.raises(ConnectomeError, match="found 2 of 3 that are not"):
        trainer.count_skipped()


def test_hidden_layers_and_other_losses_train() -> None:
    """A deeper network with the squared error alone gets better."""
    history: list[EpochResult] = []
    settings = TrainingSettings(
        transform="cfeat",
        latent_size=6,
        hidden_sizes=(16,),
        loss="mse",
        batch_size=20,
        n_epochs=3,
        learning_rate=1e-3,
        dropout=0.0,
        device="cpu",
    )

    train_model(make_cohort(40), settings=settings, on_epoch=history.append)

    assert history[-1].loss < history[0].loss
    assert history[-1].latent_similarity == 0


def test_cohorts_that_cannot_be_trained_on_are_refused() -> None:
    """Different subjects, too few of them, NaN edges, or no flavor."""
    cohort = make_cohort(40)
    first = next(iter(cohort))
    holed = cohort[first].copy()
    holed[0, 0] = np.nan
    for edges, message in (
        ({**cohort, first: cohort[first][1:]}, "same subjects"),
        ({}, "same subjects"),
        ({f: x[:10] for f, x in cohort.items()}, "one batch of 20"),
        ({**cohort, first: holed}, "NaN or infinite edges in FCcorr_mini_hpf"),
    ):
        with pytest.raises(ConnectomeError, match=message):
            train_model(edges, settings=SMALL)


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "hinge"},
        {"batch_size": 1},
        {"dropout": 1.0},
        {"n_epochs": -1},
        {"latent_size": 1},
        {"schedule": "both"},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
        {"latent_activation": "relu"},
        {"intergroup_dropout": 1.0},
    ],
)
def test_settings_outside_their_range_are_refused(values: dict[str, object]) -> None:
    """Each is a SettingsError."""
    with pytest.raises(SettingsError):
        TrainingSettings(**values)  # type: ignore[arg-type]


def test_threads_are_as_before() -> None:
    """Training small arrays on one thread leaves the setting as it was."""
    before = torch.get_num_threads()

    train_model(
        make_cohort(40),
        settings=TrainingSettings("pca8", 6, batch_size=20, n_epochs=1, device="cpu"),
    )

    assert torch.get_num_threads() == before


def test_a_learning_rate_that_is_not_given_is_that_of_the_schedule() -> None:
    """The published one path by path; what a model keeps is the number."""
    assert TrainingSettings(schedule="paths").rate == 1e-4
    assert TrainingSettings(schedule="joint").to_json()["learning_rate"] == 1e-3
    assert TrainingSettings(learning_rate=0.5).rate == 0.5
