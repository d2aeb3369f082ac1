"""A group run with --impute: draws of what some lack, and their statistics."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import kraken_bids
from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cohort.imputed_files import imputed_path
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.writing import write_relmat
from kraken_bids.pipeline import levels
from kraken_bids.pipeline.group import run_group
from kraken_bids.report.sections.file_list import list_group_files
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.settings import DataSettings, PredictionSettings, Settings
from kraken_bids.worth_settings import WorthSettings

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
N, N_EDGES, LACKING = 26, 3655, (3, 9, 20)
LABELS = [f"sub-{k + 1:02d}" for k in range(N)]


@pytest.fixture(scope="module")
def age() -> NDArray[np.float64]:
    return np.random.default_rng(2).normal(50, 10, N)


@pytest.fixture(scope="module")
def edges(age: NDArray[np.float64]) -> dict[Flavor, NDArray[np.float64]]:
    """Edges [N, N_EDGES] of a cohort; function falls with age."""
    rng = np.random.default_rng(1)
    person = rng.normal(size=(N, 4))
    found = {}
    for flavor in (FC, SC):
        mean = rng.uniform(0.2, 0.8, N_EDGES)
        own = person @ rng.normal(size=(4, N_EDGES)) * 0.02
        found[flavor] = mean + own + 0.02 * rng.normal(size=(N, N_EDGES))
    found[FC] -= 0.01 * (age - 50)[:, None] / 10
    return found


@pytest.fixture(autouse=True)
def _no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "draw_subjects", lambda *_: [])
    monkeypatch.setattr(levels, "draw_cohort", lambda *_: None)


@pytest.fixture
def settings(
    tmp_path: Path,
    brain_model: Path,
    edges: dict[Flavor, NDArray[np.float64]],
    age: NDArray[np.float64],
) -> Settings:
    """Write the cohort, three without function, and ask for five draws."""
    output = tmp_path / "out"
    for flavor, rows in edges.items():
        for k, row in enumerate(rows):
            if flavor == SC or k not in LACKING:
                path = relmat_path(output, {"sub": f"{k + 1:02d}"}, flavor, source=None)
                write_relmat(path, edges_to_square(row, diagonal=flavor.diagonal))
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = [f"{label}\t{value:.4f}" for label, value in zip(LABELS, age, strict=True)]
    (raw / "participants.tsv").write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    return Settings(
        DataSettings(raw, output, atlases=("fs86",)),
        prediction=PredictionSettings(model=str(brain_model)),
        worth=WorthSettings(impute=5, covariates=("age",)),
    )


def test_draws_complete_the_cohort_and_statistics_pool_them(
    settings: Settings, edges: dict[Flavor, NDArray[np.float64]], age: NDArray[np.float64]
) -> None:
    """Measured rows are the measured ones; the slope on age is found; a second run keeps it."""
    assert run_group(settings) == 0
    path = imputed_path(settings.data.output_dir, FC)
    found = kraken_bids.read_imputed(path)
    assert found.flavor == FC
    assert found.n_draws == 5
    assert list(found.subjects) == LABELS
    assert np.flatnonzero(~found.is_measured).tolist() == list(LACKING)
    assert (found.weights[found.is_measured] == 1).all()
    assert ((found.weights >= 0) & (found.weights < 1))[~found.is_measured].all()

    design = np.column_stack([np.ones(N), age])
    inverse = np.linalg.inv(design.T @ design)
    estimates, variances = [], []
    for draw in range(5):
        whole = found.complete(draw)
        rows = found.is_measured
        np.testing.assert_allclose(whole[rows], edges[FC][rows], atol=1e-5)
        assert not np.array_equal(whole[~rows], found.complete((draw + 1) % 5)[~rows])
        mean = whole.mean(axis=1)
        slope = inverse @ design.T @ mean
        estimates.append(slope[1])
        variances.append(((mean - design @ slope) ** 2).sum() / (N - 2) * inverse[1, 1])
    pooled = kraken_bids.pool_estimates(estimates, variances, dof=N - 2)
    assert pooled.low < -0.001 < pooled.high < 0

    written = WrittenGroup(settings.data.output_dir, ())
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["Covariates"] == ["age"]
    assert facts["Measured"] == N - 3
    assert facts["Imputed"] == 3
    assert not imputed_path(settings.data.output_dir, SC).exists()  # nobody lacks it

    (link,) = [one for one in list_group_files(written) if "imputed" in one.href]
    assert link.href == "group/imputed_FCcorr_fs86_hpf.h5"

    before = path.stat().st_mtime_ns
    assert run_group(settings) == 0
    assert path.stat().st_mtime_ns == before
    whole = found.complete(1)
    path.unlink()
    assert run_group(settings) == 0
    np.testing.assert_array_equal(kraken_bids.read_imputed(path).complete(1), whole)
    with pytest.raises(SettingsError, match="a draw from 0 to 4"):
        found.complete(5)


def test_nothing_is_drawn_unless_asked_for(settings: Settings) -> None:
    """And so it is where too few people have both, which is said; an old file goes."""
    assert run_group(replace(settings, worth=WorthSettings())) == 0
    path = imputed_path(settings.data.output_dir, FC)
    assert not path.exists()


def test_draws_of_other_connectomes_do_not_stay(
    settings: Settings, edges: dict[Flavor, NDArray[np.float64]]
) -> None:
    """A run that asks for none leaves draws of the same connectomes, and takes others away."""
    asked, output = settings, settings.data.output_dir
    assert run_group(asked) == 0
    unasked = replace(settings, worth=WorthSettings())
    assert run_group(unasked) == 0
    assert imputed_path(output, FC).exists()
    changed = edges_to_square(edges[FC][0] + 0.01, diagonal=FC.diagonal)
    write_relmat(relmat_path(output, {"sub": "01"}, FC, source=None), changed)
    part = replace(unasked, data=replace(unasked.data, participants=("02",)))
    assert run_group(part) == 0
    assert imputed_path(output, FC).exists()
    assert run_group(unasked) == 0
    assert not imputed_path(output, FC).exists()


def test_too_few_people_with_both_give_no_draws(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is said; a file of an earlier run goes."""
    path = imputed_path(settings.data.output_dir, FC)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"of an earlier run")
    for k in range(4, 9):
        relmat_path(settings.data.output_dir, {"sub": f"{k + 1:02d}"}, FC, source=None).unlink()
    with caplog.at_level(logging.WARNING):
        assert run_group(settings) == 0
    assert "no draws of FCcorr_fs86_hpf: expected at least 20 subjects" in caplog.text
    assert not path.exists()


def test_files_that_hold_no_draws_are_refused(tmp_path: Path) -> None:
    """With what was expected."""
    with pytest.raises(InputError, match="found no"):
        kraken_bids.read_imputed(tmp_path / "none.h5")
    other = tmp_path / "other.h5"
    with write_hdf5(other) as file:
        file["draws/000"] = np.zeros((2, 3))
    with pytest.raises(InputError, match="found no subjects, flavor"):
        kraken_bids.read_imputed(other)
