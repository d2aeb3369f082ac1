"""The search: the published history, gradients by finite differences, the sign that finds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.search import Search
from kraken_bids.models.communities.static_modularity import Scan

ORACLE = Path(__file__).parents[4] / "shared" / "oracles" / "communities_float64.npz"


def test_the_first_steps_are_those_of_the_published_code() -> None:
    """Objective as printed, Adam at 0.05: terms of the first six of twenty steps, gradients."""
    if not ORACLE.exists():
        pytest.skip(f"the published code's answers are not here: {ORACLE.name}")
    with np.load(ORACLE) as file:
        oracle = {k: file[k] for k in file.files}
    settings = CommunitySettings.of_preset("hypercoil", n_communities=4, objective="printed")
    series = torch.as_tensor(oracle["ts"])
    scans = [Scan(one, torch.ones(60).double(), one**2) for one in series]
    search = Search(scans, settings, seed=0)
    search.shares_logits.copy_(torch.as_tensor(oracle["aff_original"]))
    for own, start in zip(search.presence_logits, oracle["dyn_original"], strict=True):
        own.copy_(torch.as_tensor(start))
    with torch.no_grad():
        history = [search.step()]
        assert search.shares_logits.grad is not None
        gradients = [np.asarray(own.grad) for own in search.presence_logits]
        np.testing.assert_allclose(
            search.shares_logits.grad.numpy(), oracle["tut_grad_aff"], atol=1e-12
        )
        np.testing.assert_allclose(gradients, oracle["tut_grad_dyn"], atol=1e-12)
        history += [search.step() for _ in range(5)]
    order = [["total", "modularity", "dynamic", "smooth", "bimodal"].index(name) for name in (
        "total", "bimodal", "dynamic", "modularity", "smooth"
    )]  # fmt: skip
    np.testing.assert_allclose(np.array(history)[:, order], oracle["tut_history"], atol=1e-12)


@pytest.mark.parametrize("presence", ["correlation", "published"])
def test_gradients_of_all_terms_are_those_of_finite_differences(presence: Any) -> None:
    """Free numbers of affiliation and presence, censored volumes and the kernel over time too."""
    rng = np.random.default_rng(0)
    scans = []
    for n_volumes in (40, 33):
        series = torch.as_tensor(rng.standard_normal((6, n_volumes)))
        counts = torch.as_tensor((rng.random(n_volumes) > 0.2).astype(float))
        scans.append(Scan(series * counts, counts, (series * counts) ** 2))
    settings = CommunitySettings(
        n_communities=3, smooth=0.7, bimodal=0.3, dynamic=3.0, presence=presence, timescale=2.0,
        learning_rate=1e-16, start="uniform",
    )  # fmt: skip
    search = Search(scans, settings, seed=1)
    free = [search.shares_logits, *search.presence_logits]
    with torch.no_grad():
        for values in free:
            values.add_(0.5 * torch.as_tensor(rng.standard_normal(tuple(values.shape))))
        search.step()
        gradients = [np.asarray(values.grad).copy() for values in free]
        for values, gradient in zip(free, gradients, strict=True):
            for place in ((0, 0), (2, 1), (1, 2)):
                old = float(values[place])
                totals = []
                for shift in (1e-5, -1e-5):
                    values[place] = old + shift
                    totals.append(search.step()[0])
                values[place] = old
                slope = (totals[0] - totals[1]) / 2e-5
                assert slope == pytest.approx(gradient[place], rel=1e-4, abs=1e-8)


def test_the_printed_sign_puts_all_regions_into_one_community(plant: Callable[..., Any]) -> None:
    """Why maximise is the default: the same data, the same start."""
    planted = plant(lengths=(200,), is_dynamic=False)
    series = torch.as_tensor(
        ((planted.series[0] - planted.series[0].mean(0)) / planted.series[0].std(0)).T
    )
    scans = [Scan(series, torch.ones(200).double(), series**2)]
    settings = CommunitySettings.of_preset("hypercoil", n_communities=4, dynamic=0.0, bimodal=0.0)
    labels = {}
    for objective in ("maximise", "printed"):
        search = Search(scans, replace(settings, smooth=0.0, objective=objective), seed=0)
        with torch.no_grad():
            for _ in range(200):
                search.step()
        labels[objective] = search.shares_logits.argmax(1).numpy()
    assert len(set(labels["printed"])) == 1
    assert adjusted_rand_score(planted.labels, labels["maximise"]) == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_communities": 1}, "--n-communities: expected 2 to 1000"),
        ({"n_seeds": 0}, "--seeds: expected 1"),
        ({"learning_rate": 0.0}, "--learning-rate: expected above 0"),
        ({"objective": "minimise"}, "--objective: expected one of"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        CommunitySettings(**change)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match="--preset: expected one of default, hypercoil"):
        CommunitySettings.of_preset("published")
