"""The peers of pretraining: what they know, and what their losses are over."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from kraken_bids.models.series.objectives import Objective, Runs, compute_error
from kraken_bids.models.series.peers import (
    LAST,
    MEAN,
    PENALTIES,
    RIDGE,
    MaskedSeries,
    Peers,
    carry_last,
    choose_lags,
    hide,
    join_batches,
    tabulate_losses,
)
from kraken_bids.models.series.recipe import choose_recipe
from kraken_bids.models.series.training import make_network


def make_runs(n_runs: int, n_volumes: int = 120, n_regions: int = 4) -> list[np.ndarray]:
    """Simulate runs of a stable vector autoregression of order 1 whose mean is 3."""
    rng = np.random.default_rng(0)
    step = 0.8 * np.linalg.qr(rng.standard_normal((n_regions, n_regions)))[0]
    runs = []
    for _ in range(n_runs):
        values = [rng.standard_normal(n_regions)]
        for _ in range(n_volumes - 1):
            values.append(values[-1] @ step + 0.3 * rng.standard_normal(n_regions))
        runs.append(np.array(values) + 3)
    return runs


def hide_one_volume(runs: list[np.ndarray], volume: int) -> MaskedSeries:
    """Hide one volume of each run and all that follow, as causal sequence modelling does."""
    target = np.zeros(runs[0].shape, bool)
    shown = target.copy()
    target[volume], shown[:volume] = True, True
    n, length = len(runs), len(runs[0])
    return MaskedSeries(
        np.concatenate(runs), np.tile(target, (n, 1)), np.tile(shown, (n, 1)),
        np.repeat(np.arange(n), length),
    )  # fmt: skip


def fit(runs: list[np.ndarray], lags: tuple[int, ...]) -> Peers:
    peers = Peers(runs[0].shape[1], lags)
    for run in runs:
        peers.add_run(run)
    return peers


def test_the_regression_is_the_one_of_scikit_learn() -> None:
    """Of a volume on the two before it, over all windows of all runs."""
    *runs, new = make_runs(4)
    peers = fit(runs, (-2, -1))
    hidden = hide_one_volume([new], 50)
    before = np.concatenate([np.hstack([run[:-2], run[1:-1]]) for run in runs])
    target = np.concatenate([run[2:] for run in runs])
    variance = before.var(axis=0).mean()
    oracle = Ridge(alpha=0.1 * variance * len(before)).fit(before, target)
    expected = oracle.predict(np.hstack([new[48], new[49]])[None])[0]
    assert peers.regress(hidden, 0.1)[50] == pytest.approx(expected, abs=1e-9)


def test_only_what_is_shown_is_looked_at() -> None:
    """Hidden, padded and other runs' values may be anything."""
    runs = make_runs(4)
    peers = fit(runs[:2], choose_lags("bert", 4))
    hidden = hide_one_volume(runs[2:], 1)
    changed = np.where(hidden.is_shown, hidden.values, 1e6)
    other = MaskedSeries(changed, hidden.is_target, hidden.is_shown, hidden.stretch)
    for name, predicted in peers.predict(hidden).items():
        again = peers.predict(other)[name]
        np.testing.assert_array_equal(predicted[hidden.is_target], again[hidden.is_target])
    first = peers.predict(hide_one_volume(runs[2:], 0))
    assert first[RIDGE][120] == pytest.approx(peers.mean)  # nothing of this run is shown
    assert first[LAST][120] == pytest.approx(peers.mean)


def test_the_last_volume_is_the_last_one_shown() -> None:
    """A hidden volume before it is passed over."""
    values = np.arange(8.0).reshape(4, 2)
    target = np.array([[0, 0], [0, 1], [1, 1], [0, 0]], bool)
    hidden = MaskedSeries(values, target, ~target, np.ones(4, int))
    predicted = carry_last(hidden, np.zeros(2))
    assert predicted[1, 1] == 1  # of volume 0
    assert predicted[2].tolist() == [2, 1]  # of volumes 1 and 0


def test_a_hidden_region_is_predicted_from_the_others() -> None:
    """Of the same volume, as in network masking."""
    rng = np.random.default_rng(1)
    runs = [np.repeat(rng.standard_normal((200, 1)), 3, axis=1) for _ in range(3)]
    peers = fit(runs[:2], choose_lags("netbert", 3))
    target = np.zeros((200, 3), bool)
    target[:, 1] = True
    hidden = MaskedSeries(runs[2], target, ~target, np.ones(200, int))
    assert peers.choose_penalty(hidden) == PENALTIES[0]
    losses = tabulate_losses("test", hidden, ["01"] * 200, peers.predict(hidden))
    found = {row.predictor: row.loss for row in losses if row.subject == "all"}
    assert found[RIDGE] < 0.01
    assert found[MEAN] == pytest.approx(np.abs(runs[2][:, 1] - peers.mean[1]).mean())
    assert found[LAST] == pytest.approx(found[MEAN])  # nothing of the region is shown


def test_an_autoregression_wins_where_it_is_true() -> None:
    """Its loss is near that of the noise; that of two people is kept apart."""
    runs = make_runs(40, 30)
    peers = fit(runs[:30], choose_lags("csm", 4))
    peers.choose_penalty(hide_one_volume(runs[30:35], 20))
    hidden = hide_one_volume(runs[35:], 20)
    subjects = np.repeat(["01", "01", "02", "02", "02"], 30)
    losses = tabulate_losses("test", hidden, list(subjects), peers.predict(hidden))
    found = {(row.subject, row.predictor): row for row in losses}
    noise = 0.3 * np.sqrt(2 / np.pi)
    assert found["all", RIDGE].loss == pytest.approx(noise, rel=0.25)
    assert found["all", RIDGE].loss < min(found["all", MEAN].loss, found["all", LAST].loss)
    assert [found[who, RIDGE].n_values for who in ("01", "02", "all")] == [8, 12, 20]
    parts = (8 * found["01", MEAN].loss + 12 * found["02", MEAN].loss) / 20
    assert found["all", MEAN].loss == pytest.approx(parts)


@pytest.mark.parametrize("framework", ["csm", "bert", "netbert", "autoencoder"])
def test_peers_are_shown_what_the_network_is_shown(framework: str) -> None:
    """Of every objective: the same targets, and nothing more than the network's input holds."""
    values = [run.astype(np.float32) for run in make_runs(3, 60)]
    runs = Runs(np.full(3, 60), [2.0] * 3, values.__getitem__)
    recipe = replace(choose_recipe("small", framework), batch_size=6)
    tokens = Objective(runs, recipe).draw(np.random.default_rng(3))
    hidden = hide(tokens)
    assert tokens.runs is not None
    for row, run in enumerate(tokens.runs):  # volumes are of the runs that they are said to be of
        assert (values[run] == hidden.values[row]).all(axis=1).any()
    network = make_network(recipe, 4).eval()
    filled = network.reconstruct(tokens)[0].detach()
    predicted = np.zeros(hidden.values.shape)
    predicted[tokens.scored_rows] = filled.numpy()
    rows = tabulate_losses("test", hidden, ["01"] * len(predicted), {"network": predicted})
    assert rows[0].loss == pytest.approx(compute_error(filled, tokens).item(), rel=1e-5)
    if framework == "autoencoder":
        assert hidden.is_shown.all()
        return
    assert not (hidden.is_shown & hidden.is_target).any()
    other = np.where(hidden.is_shown, hidden.values, 7).astype(np.float32)
    again = network.reconstruct(
        replace(tokens, sequences=replace(tokens.sequences, values=other))
    )[0].detach()
    np.testing.assert_array_equal(again, filled)


def test_batches_stay_apart() -> None:
    """A stretch ends where a batch ends, though numbers begin anew in the next one."""
    one = hide_one_volume(make_runs(1, 5), 0)
    both = join_batches([one, one])
    last = carry_last(both, np.full(4, -9.0))
    assert (last[5] == -9).all()


def test_volumes_that_do_not_count_are_not_what_is_fitted() -> None:
    (run,) = make_runs(1)
    counts = np.arange(len(run)) % 5 > 0
    peers = Peers(4, (-1,))
    peers.add_run(np.where(counts[:, None], run, 0), counts)
    np.testing.assert_allclose(peers.mean, run[counts].mean(axis=0))
    alone = Peers(4, (-1,))
    for k in np.flatnonzero(counts):
        alone.add_run(np.stack([run[k - 1] * counts[k - 1], run[k]]))
    hidden = hide_one_volume([run], 6)
    np.testing.assert_allclose(peers.regress(hidden, 0.1), alone.regress(hidden, 0.1))


@pytest.mark.parametrize("n_regions", [86, 268, 1024])
@pytest.mark.parametrize("framework", ["csm", "bert", "netbert", "autoencoder"])
def test_a_regression_is_solved_in_minutes_whatever_the_atlas(
    framework: str, n_regions: int
) -> None:
    """Multiplications of one penalty, for all patterns of 400 sequences."""
    lags = choose_lags(framework, n_regions)
    n_patterns = 400 * len(lags) if framework == "netbert" else 4 * len(lags)
    assert n_patterns * (len(lags) * n_regions) ** 3 / 3 < 2e11
