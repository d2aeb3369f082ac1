"""Group mean, peer and ceiling beside every score, against definitions on the edges."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import Source, build_sources
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.pls_peer import predict_held_out
from kraken_bids.models.splits import deal_folds
from kraken_bids.pipeline.check import peer_comparison
from kraken_bids.pipeline.check.cohort_scores import score_members
from kraken_bids.pipeline.check.pair_calibrations import PairCalibrations
from kraken_bids.scores.metrics import row_correlations
from kraken_bids.scores.quality_control import METRIC_WORDS, Metric
from tests.plain_metrics import compute_metrics

Metrics = dict[tuple[str, str, str], Metric]


def score(model: Model, members: tuple[Member, ...], families: Sequence[str] = ()) -> Metrics:
    """Score a cohort; metrics by source, target and name."""
    known = PairCalibrations(members, families)
    found = score_members(model, members, encode(model, members), calibrations=known)
    return {(one.source, one.target, one.metric): one for one in found.metrics}


def encode(model: Model, members: tuple[Member, ...]) -> tuple[Source, ...]:
    cohort = read_cohort(model, members, fit_on=lambda _member: True)
    return build_sources(encode_cohort(model, cohort, None), ("fusionSC", "fusionFC", "each"))


def read_edges(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges as they come back from files of six digits."""
    return np.array([[float(f"{value:.6g}") for value in row] for row in rows])


def mean_of_others(x: NDArray[np.float64], people: list[str]) -> NDArray[np.float64]:
    """Everyone's mean of the people outside the own fold."""
    folds = deal_folds(len(x), min(10, len(set(people))), families=people)
    return np.stack([x[folds != fold].mean(axis=0) for fold in folds])


def test_metrics_are_those_of_the_definitions_on_edges(
    output_dir: Path, model: Model, cohort_edges: dict[Flavor, NDArray[np.float64]]
) -> None:
    """R², gain over the mean of the others, and what that mean itself correlates by."""
    members = list_members(output_dir)

    found = score(model, members)

    target = model.flavors[0]
    source = next(s for s in encode(model, members) if s.name == "fusionSC")
    x = read_edges(cohort_edges[target])
    y = source.predict(model, target, range(12)).astype(np.float64)
    mean = mean_of_others(x, [m.subject for m in members])
    expected = compute_metrics(x, y) | {
        "r2": r2_score(x, y),
        "gain": 1 - ((x - y) ** 2).sum() / ((x - mean) ** 2).sum(),
        "baseline_avgcorr": np.mean(
            [np.corrcoef(a, b)[0, 1] for a, b in zip(x, mean, strict=True)]
        ),
        "n": 12,
    }
    own = {m: row for (s, t, m), row in found.items() if (s, t) == ("fusionSC", target.name)}
    for name, value in expected.items():
        assert own[name].value == pytest.approx(value, rel=1e-4, abs=1e-5), name
        assert own[name].n == 12
    assert own["avgrank"].low <= own["avgrank"].value <= own["avgrank"].high
    assert 0 < own["gain"].p <= 1
    assert set(own) <= set(METRIC_WORDS)
    assert not any(name.startswith("pls_") for name in own)  # 12 people are too few
    assert own["ceiling_avgrank"].basis == "unknown"
    assert np.isnan(own["ceiling_share"].value)


def test_the_peer_is_fitted_on_the_inputs_of_the_source(
    output_dir: Path,
    model: Model,
    cohort_edges: dict[Flavor, NDArray[np.float64]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two functional flavors weigh the same in sum, whatever their scale; families together."""
    monkeypatch.setattr(peer_comparison, "MIN_CALIBRATED", 10)
    families = [f"f{k // 2}" for k in range(12)]

    found = score(model, list_members(output_dir), families)

    inputs, target = model.flavors[:2], model.flavors[2]
    y = read_edges(cohort_edges[target])
    sides = [read_edges(cohort_edges[flavor]) for flavor in inputs]
    centred = [side - side.mean(axis=0) for side in sides]
    joined = np.hstack([one / np.linalg.norm(one) for one in centred])
    folds = deal_folds(12, 6, families=families)
    predicted = predict_held_out(joined @ joined.T, y @ y.T, folds).weights @ y
    mean = np.stack([y[folds != fold].mean(axis=0) for fold in folds])
    own = {m: row.value for (s, t, m), row in found.items() if (s, t) == ("fusionFC", target.name)}
    for name, less in (("avgcorr", 0), ("avgcorr_resid", mean)):
        r = np.diag(row_correlations(y - less, predicted - less)).mean()
        assert own[f"pls_{name}"] == pytest.approx(r)
    gain = 1 - ((y - predicted) ** 2).sum() / ((y - mean) ** 2).sum()
    assert own["pls_gain"] == pytest.approx(gain)
    assert gain > 0.1
    assert not any(m.startswith("pls_") for s, t, m in found if s.startswith("FC") or s == t)


@pytest.fixture
def two_sessions(tmp_path: Path, cohort_edges: dict[Flavor, NDArray[np.float64]]) -> Path:
    """Write six people in two sessions each."""
    rng = np.random.default_rng(8)
    for flavor, rows in cohort_edges.items():
        for k in range(12):
            edges = rows[k // 2] + 0.1 * rng.standard_normal(rows.shape[1])
            square = edges_to_square(edges, diagonal=flavor.diagonal)
            entities = {"sub": f"{k // 2 + 1:02d}", "ses": str(k % 2 + 1)}
            write_relmat(relmat_path(tmp_path, entities, flavor, source=None), square)
    return tmp_path


def test_two_sessions_give_the_ceiling_and_are_never_in_each_others_mean(
    two_sessions: Path, model: Model
) -> None:
    """The mean of the others holds neither; the second session is what a prediction may reach."""
    members = list_members(two_sessions)
    people = [member.subject for member in members]
    target = model.flavors[1]

    found = score(model, members)

    x = np.stack(
        [
            read_measured(m.connectomes[target], target, model.n_edges(target)).edges
            for m in members
        ]
    )
    own = {m: row for (s, t, m), row in found.items() if (s, t) == ("fusionSC", target.name)}
    alone = np.stack([x[[p != q for q in people]].mean(axis=0) for p in people])
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, alone, strict=True)]
    assert own["baseline_avgcorr"].value == pytest.approx(np.mean(correlations))
    ceiling = compute_metrics(x[::2], x[1::2], mean=x.mean(axis=0))
    for name in ("avgcorr_resid", "avgrank", "top1acc"):
        row = own[f"ceiling_{name}"]
        assert (row.basis, row.n) == ("sessions", 6)
        assert row.value == pytest.approx(ceiling[name])
    share = own["avgcorr_resid"].value / ceiling["avgcorr_resid"]
    assert own["ceiling_share"].value == pytest.approx(share)
