"""Metrics, outliers and latents of the group level."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import list_members, read_cohort
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.projections import Cohort, Projected, Projection
from kraken_bids.cohort.sources import Source, build_sources
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.cohort_scores import score_members
from kraken_bids.pipeline.check.group_tables import find_outliers, write_means, write_metrics
from kraken_bids.scores.plausibility import InputCheck
from tests.plain_metrics import compute_metrics


@pytest.fixture
def latents(output_dir: Path, model: Model) -> dict[Flavor, NDArray[np.float32]]:
    """Latents of the cohort, not adapted."""
    cohort = read_cohort(model, list_members(output_dir), fit_on=lambda _member: True)
    return encode_cohort(model, cohort, None)


def test_sources_without_inputs_are_left_out(
    latents: dict[Flavor, NDArray[np.float32]],
) -> None:
    """A cohort without structure has no fusionSC; each flavor is a source of its own."""
    function = {flavor: rows for flavor, rows in latents.items() if flavor.group == "FC"}

    names = [source.name for source in build_sources(function, ("fusion", "fusionSC", "each"))]

    assert names == ["fusion", "FCcorr_fs86_hpf", "FCpcorr_fs86_hpf"]


def test_metrics_are_those_of_complete_matrices(
    output_dir: Path, model: Model, latents: dict[Flavor, NDArray[np.float32]]
) -> None:
    """The table's numbers are the metrics of measured against decoded edges."""
    members = list_members(output_dir)
    sources = build_sources(latents, ("fusion", "fusionSC", "fusionFC"))

    write_metrics(output_dir, score_members(model, members, sources))

    columns = read_columns(group_path(output_dir, "metrics.tsv"))
    rows = zip(*columns.values(), strict=True)
    found = {(s, t, m): float(v) for s, t, m, v, *_ in rows}
    target = model.flavors[2]
    measured = np.stack(
        [
            read_measured(m.connectomes[target], target, model.n_edges(target)).edges
            for m in members
        ]
    )
    expected = compute_metrics(measured, model.decode(target, sources[2].latents))
    for name, value in expected.items():
        assert found["fusionFC", target.name, name] == pytest.approx(value, abs=1e-5)
    assert found["fusionFC", target.name, "n"] == len(members)


def make_source(latents: NDArray[np.float32]) -> Source:
    """Make a fusion of latents."""
    return Source("fusion", (), latents, np.full(len(latents), 2), {})


def test_a_planted_outlier_is_found_and_nobody_else() -> None:
    """Twenty people around one place, one far away."""
    rng = np.random.default_rng(1)
    latents = rng.uniform(-1, 1, (20, 8)).astype(np.float32)
    latents[13] += 40
    members = [Member(f"{k:02d}", None, {}) for k in range(20)]

    distances = find_outliers(members, [make_source(latents)])

    assert [d.member.subject for d in distances if d.outlier] == ["13"]


def test_an_edge_that_nobody_has_is_nan_in_the_table_of_means(
    output_dir: Path, model: Model
) -> None:
    """The training mean, which adaptations take in its place, was not measured here."""
    flavor = model.flavors[0]
    mean, training = EdgeMean(model.n_edges(flavor)), model.training_means()[flavor]
    rows = np.random.default_rng(0).random((3, mean.n_edges))
    rows[:, 2] = rows[0, 5] = np.nan
    for row in rows:
        mean.add(row)
    one = Projection(np.zeros((3, 2), np.float32), frozenset(), mean, InputCheck(flavor, None))
    cohort = Projected(Cohort(("01", "02", "03"), {}), {flavor: one})
    write_means(output_dir, model, cohort)
    with h5py.File(group_path(output_dir, "mean_connectomes.h5")) as file:
        written = np.asarray(file[f"{flavor}/measured"])
    expected = np.nanmean(np.delete(rows, 2, axis=1), axis=0)
    np.testing.assert_allclose(np.delete(written, 2), expected, rtol=1e-6)
    assert np.isnan(written[2])
    assert cohort.take_means(model)[flavor][0][2] == training[2]


def test_four_people_have_no_outliers() -> None:
    """A median of so few says little."""
    members = [Member(f"{k}", None, {}) for k in range(4)]

    assert find_outliers(members, [make_source(np.eye(4, dtype=np.float32))]) == []
