"""Decoders trained on planted blobs, and whether relevance shows what they learned."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from kraken_bids.models.step_training import StepSettings
from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.checked_relevance import (
    SHARES,
    CheckedRelevance,
    check_relevance,
    randomise_decoder,
)
from kraken_bids.models.volumes.network import VolumeNetwork
from kraken_bids.models.volumes.relevance import explain_volume
from kraken_bids.models.volumes.training import make_decoder, train_decoder

GRID = (14, 16, 12)
BLOBS = (slice(2, 5), slice(3, 6), slice(2, 5)), (slice(9, 12), slice(10, 13), slice(6, 9))
BRAIN = np.ones(GRID, bool)
BRAIN[..., -1] = False
SETTINGS = {
    "2d": StepSettings(n_steps=80, learning_rate=5e-3, weight_decay=0.0, device="cpu", seed=1),
    "3d": StepSettings(n_steps=400, learning_rate=3e-2, weight_decay=0.0, device="cpu", seed=1),
}


def make_volumes(n_volumes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a blob whose place is the state."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_volumes) % 2
    volumes = rng.standard_normal((n_volumes, *GRID)).astype(np.float32)
    for volume, label in zip(volumes, labels, strict=True):
        volume[BLOBS[label]] += 2.0
    return volumes, labels.astype(np.intp)


def architecture(kind: str) -> VolumeArchitecture:
    return VolumeArchitecture(kind, ("one", "two"), GRID, (8, 16), (2, 2))


@dataclass
class Trained:
    """A network, and volumes that it has not seen."""

    network: VolumeNetwork
    volumes: np.ndarray
    labels: np.ndarray

    def explain(self, network: VolumeNetwork) -> np.ndarray:
        """Relevance of the true state of every volume."""
        pairs = zip(torch.from_numpy(self.volumes), self.labels, strict=True)
        maps = [explain_volume(network, one, int(label)).relevance for one, label in pairs]
        return torch.stack(maps).numpy()

    def decode(self, volumes: np.ndarray) -> np.ndarray:
        """Probability of the true state of every volume."""
        with torch.no_grad():
            found = self.network(torch.from_numpy(volumes)).softmax(1).numpy()
        return found[np.arange(len(volumes)), self.labels]


@pytest.fixture(scope="module", params=["2d", "3d"])
def trained(request: pytest.FixtureRequest) -> Trained:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    volumes, labels = make_volumes(60, seed=0)
    network = make_decoder(architecture(request.param), seed=0)
    train_decoder(
        network, lambda rows: volumes[rows], labels, SETTINGS[request.param], batch_size=12
    )
    torch.set_num_threads(n_threads)
    return Trained(network, *make_volumes(24, seed=9))


def test_new_volumes_are_decoded(trained: Trained) -> None:
    assert np.mean(trained.decode(trained.volumes) > 0.5) > 0.9


def test_relevance_lies_in_the_blobs(trained: Trained) -> None:
    is_inside = np.zeros(GRID, bool)
    for blob in BLOBS:
        is_inside[blob] = True
    mean = np.abs(trained.explain(trained.network).mean(0))
    assert mean[is_inside].mean() >= 5 * mean[~is_inside].mean()


@pytest.fixture(scope="module")
def checked(trained: Trained) -> list[CheckedRelevance]:
    """Check every volume; the last slice is not of the brain."""
    other, rng = randomise_decoder(trained.network, seed=77), np.random.default_rng(0)
    return [
        check_relevance(trained.network, other, one, int(label), mask=BRAIN, rng=rng)
        for one, label in zip(trained.volumes, trained.labels, strict=True)
    ]


def test_relevance_of_random_weights_is_another(
    trained: Trained, checked: list[CheckedRelevance]
) -> None:
    """By the rank correlation over the brain."""
    other = make_decoder(trained.network.architecture, seed=77).eval()
    maps = [trained.explain(network)[0][BRAIN] for network in (trained.network, other)]
    expected = spearmanr(*np.abs(maps)).statistic
    assert checked[0].correlation == pytest.approx(expected, abs=1e-6)
    assert np.mean([one.correlation for one in checked]) < 0.5


def test_what_is_relevant_matters_more_than_what_is_not(
    trained: Trained, checked: list[CheckedRelevance]
) -> None:
    """Voxels are set to 0, the most relevant first: the state's probability falls sooner."""
    relevance, found, are_clear = trained.explain(trained.network), [], []
    n_deleted = round(0.1 * BRAIN.sum())
    for volume, own in zip(trained.volumes.copy(), relevance, strict=True):
        least = np.sort(own[BRAIN])[-n_deleted]
        volume[BRAIN & (own >= least)] = 0
        found.append(volume)
        are_clear.append(np.sum(own[BRAIN] >= least) == n_deleted)  # no two alike at the limit
    assert np.sum(are_clear) >= 5
    curves = np.array([one.deleted for one in checked])
    tenth = SHARES.index(0.1)
    expected = trained.decode(np.array(found))
    np.testing.assert_allclose(curves[are_clear, 0, tenth], expected[are_clear], atol=1e-4)
    np.testing.assert_allclose(curves[:, 1, 0], trained.decode(trained.volumes), atol=1e-5)
    by_relevance, by_chance = curves.mean(axis=0)
    assert np.all(by_relevance[1:] < by_chance[1:])
    assert by_relevance[1:].mean() < by_chance[1:].mean() - 0.1


def test_a_further_training_keeps_all_but_the_head(trained: Trained) -> None:
    shape = replace(trained.network.architecture, states=("a", "b", "c"))
    found = make_decoder(shape, seed=5, pretrained=trained.network).state_dict()
    for name, values in trained.network.state_dict().items():
        if name.startswith("output."):
            assert found[name].shape[0] == 3
        else:
            assert torch.equal(found[name], values)


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_the_loss_is_the_cross_entropy_of_the_softmax(kind: str) -> None:
    """First of a training without dropout, against its definition in double precision."""
    volumes, labels = make_volumes(6, seed=2)
    network = make_decoder(architecture(kind), seed=3)
    drawn, losses = [], []

    def read(rows: list[int]) -> np.ndarray:
        drawn.extend(rows)
        network.eval()
        return volumes[rows]

    def watch(_: object, result) -> bool:
        losses.append(result.loss)
        return True

    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(volumes)).double().numpy()
    train_decoder(network, read, labels, SETTINGS[kind], batch_size=4, watch=watch)
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), labels]
    assert losses[0] == pytest.approx(expected[drawn].mean(), rel=1e-5)
