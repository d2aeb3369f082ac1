"""A person counts as one in the mean of a cohort, however many sessions there are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from kraken_bids.cohort.from_files import open_connectomes
from kraken_bids.cohort.projections import Projection, project_cohort
from kraken_bids.cohort.subject_names import subject_of
from kraken_bids.flavors import Flavor
from kraken_bids.io import matlab
from kraken_bids.models.krakencoder.model import Model

Edges = dict[Flavor, NDArray[np.float64]]
LABELS = ("a_ses-1", "a_ses-2", "a_ses-3", "b", "c_ses-1", "d", "e_ses-1", "f", "c_ses-2", "g",
          "h", "e_ses-2")  # fmt: skip


def write(path: Path, rows: NDArray[np.float64], kind: str) -> Path:
    """Write rows of edges so that a subject's edges lie together, or everybody's of one edge."""
    path = path.with_suffix(f".{kind}")
    if kind == "npz":
        np.savez(path, data=rows, subjects=np.array(LABELS[: len(rows)]))
    else:
        savemat(path, {"data": rows, "subjects": np.array(LABELS[: len(rows)], object)})
    return path


def project(model: Model, flavor: Flavor, path: Path) -> Projection:
    return project_cohort(model, open_connectomes([f"{flavor}={path}"])).found[flavor]


def average_people(rows: NDArray[np.float64], labels: Sequence[str]) -> NDArray[np.float64]:
    """Mean over people of the means over the sessions of each."""
    people = np.array([subject_of(label) for label in labels])
    return np.mean([rows[people == one].mean(axis=0) for one in np.unique(people)], axis=0)


@pytest.mark.parametrize("kind", ["npz", "mat"])
def test_a_person_is_one_in_the_mean_however_many_sessions_there_are(
    model: Model,
    cohort_edges: Edges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Of files that are read row by row, and of those that are read edge by edge."""
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)
    flavor, rows = next(iter(cohort_edges.items()))

    found = project(model, flavor, write(tmp_path / "in", rows, kind))

    assert found.mean.n_subjects == 8
    np.testing.assert_allclose(found.mean.result(None), average_people(rows, LABELS), rtol=1e-12)


@pytest.mark.parametrize("kind", ["npz", "mat"])
def test_a_session_that_cannot_be_used_leaves_its_person_whole(
    model: Model,
    cohort_edges: Edges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """One is flat, one has nothing: the other sessions of these people count as the person."""
    monkeypatch.setattr(matlab, "LAZY_BYTES", 1)
    flavor, rows = next(iter(cohort_edges.items()))
    rows = rows.copy()
    rows[1], rows[8] = 0.5, np.nan
    kept = [k for k in range(12) if k not in {1, 8}]

    found = project(model, flavor, write(tmp_path / "in", rows, kind))

    expected = average_people(rows[kept], [LABELS[k] for k in kept])
    assert found.mean.n_subjects == 8
    np.testing.assert_allclose(found.mean.result(None), expected, rtol=1e-12)


def test_a_session_without_a_region_counts_less_for_its_edges_alone(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """The mean of such an edge is of the sessions that have it; nobody's stays unknown."""
    flavor, rows = next(iter(cohort_edges.items()))
    rows = rows.copy()
    rows[:, 0:85] = np.nan  # the first region, which nobody has
    rows[0, 85:169] = np.nan  # the second region of the first session
    people = [subject_of(label) for label in LABELS]
    weights = np.array([1 / people.count(person) for person in people])
    with np.errstate(invalid="ignore"):
        has = (np.isfinite(rows) * weights[:, None]).sum(axis=0)
        expected = np.nansum(rows * weights[:, None], axis=0) / has

    found = project(model, flavor, write(tmp_path / "in", rows, "npz"))

    np.testing.assert_array_equal(found.mean.is_known, np.isfinite(expected))
    training = model.training_means()[flavor]
    wanted = np.where(np.isfinite(expected), expected, training)
    np.testing.assert_allclose(found.mean.result(training), wanted, rtol=1e-12)


def test_the_mean_of_people_with_one_session_each_has_the_bits_of_the_plain_sum(
    model: Model, cohort_edges: Edges, tmp_path: Path
) -> None:
    """As the reference release averages."""
    flavor, rows = next(iter(cohort_edges.items()))
    np.savez(tmp_path / "in.npz", data=rows, subjects=np.array([f"s{k}" for k in range(12)]))
    total = np.zeros(rows.shape[1])
    for own in rows:
        total += own

    found = project(model, flavor, tmp_path / "in.npz")

    np.testing.assert_array_equal(found.mean.result(None), total / 12)
