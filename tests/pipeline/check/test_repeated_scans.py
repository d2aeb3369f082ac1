"""Second measurements: which there are, and halves of series against numpy."""

from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import relmat_path, sidecar_path, timeseries_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.connectome.functional.correlations import compute_partial_correlation
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.pipeline.check.repeated_scans import (
    RepeatReader,
    choose_repeats,
    correlate_halves,
    find_series,
)

PLAIN, PARTIAL, GSR = map(
    parse_flavor, ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "FCcorr_fs86_hpfgsr")
)
N_REGIONS = 86


def write_series(
    folder: Path, entities: dict[str, str], rng: np.random.Generator, n_volumes: int = 60
) -> tuple[Path, np.ndarray]:
    """Write a run's cleaned series whose first three volumes do not count."""
    series = rng.normal(size=(n_volumes, N_REGIONS)).round(6)
    series[:3] = np.nan
    path = timeseries_path(folder, entities, "fs86", is_clean=True)
    write_table(path, {f"region-{k}": series[:, k] for k in range(N_REGIONS)})
    write_json(sidecar_path(path), {"VolumesKept": [0] * 3 + [1] * (n_volumes - 3)})
    return path, series[3:]


def write_session(
    folder: Path, subject: str, flavor: Flavor, runs: list[dict[str, str]], **entities: str
) -> None:
    """Write a connectome and the sidecar that names its runs."""
    path = relmat_path(folder, {"sub": subject, "task": "rest"} | entities, flavor, source=None)
    write_relmat(path, np.eye(N_REGIONS))
    names = ["_".join(f"{k}-{v}" for k, v in run.items()) + "_bold.nii.gz" for run in runs]
    content = {"Runs": [{"File": name} for name in names], "MissingRegions": [], "Lambda": 0.06}
    write_json(sidecar_path(path), content)


@pytest.mark.parametrize("n_runs", [1, 2, 3, 4])
def test_halves_are_runs_or_parts_of_every_run(
    tmp_path: Path, rng: np.random.Generator, n_runs: int
) -> None:
    """Correlated as numpy does it after z-scoring each run."""
    written = [
        write_series(tmp_path, {"sub": "1", "task": "rest", "run": str(k)}, rng, 50 + 10 * k)
        for k in range(n_runs)
    ]
    series = [run for _, run in written]

    first, second = correlate_halves([path for path, _ in written])

    middle = n_runs // 2
    halves = (series[:middle], series[middle:])
    if n_runs % 2:
        halves = ([s[: len(s) // 2] for s in series], [s[len(s) // 2 :] for s in series])
    for found, parts in zip((first, second), halves, strict=True):
        scored = np.vstack([(run - run.mean(axis=0)) / run.std(axis=0) for run in parts])
        np.testing.assert_allclose(found, np.corrcoef(scored.T), atol=1e-9)


def test_series_are_found_only_for_measures_that_are_computed_again(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A further measure has no ceiling and is not verified, rather than by a correlation."""
    run = {"sub": "1", "task": "rest"}
    written, _ = write_series(tmp_path / "sub-1" / "func", run, rng)
    found = {}
    for measure in ("FCcorr", "FCpcorr", "FCother"):
        flavor = Flavor(measure, "fs86", "hpf")
        path = written.parent / f"{measure}.tsv"
        content = {"Runs": [{"File": "sub-1_task-rest_bold.nii.gz"}], "MissingRegions": []}
        write_json(sidecar_path(path), content)
        found[measure] = find_series(path, flavor)

    assert found == {"FCcorr": (written,), "FCpcorr": (written,), "FCother": ()}


def test_series_are_halved_where_nobody_was_measured_twice(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of correlations and partial ones; not after global signal regression, which is not kept."""
    for k in range(6):
        runs = [{"sub": str(k), "task": "rest", "run": str(run)} for run in (1, 2)]
        for flavor in (PLAIN, PARTIAL, GSR):
            write_session(tmp_path, str(k), flavor, runs)
        for run in runs:
            write_series(tmp_path, run, rng)
    next(tmp_path.glob("sub-4/func/*run-2*_timeseries.tsv")).unlink()
    members = list_members(tmp_path)

    repeats = choose_repeats(members, PARTIAL)
    indices, edges = RepeatReader(members).read(PARTIAL, N_REGIONS * 85 // 2, repeats)

    assert choose_repeats(members, GSR).basis == "unknown"
    assert repeats.basis == choose_repeats(members, PLAIN).basis == "halves"
    assert indices == [0, 1, 2, 3, 5]
    halves = correlate_halves(repeats.files[5])
    for found, half in zip(edges[-2:], halves, strict=True):
        partial = compute_partial_correlation(half, ridge=0.06)
        np.testing.assert_allclose(found, square_to_edges(partial), atol=1e-6)


def test_a_second_run_with_a_connectome_of_its_own_goes_before_halves(tmp_path: Path) -> None:
    """Another task is no second run; two sessions go before both."""
    for k in range(5):
        for run in ("1", "2"):
            write_session(tmp_path, str(k), PLAIN, [], run=run)
        write_session(tmp_path, str(k), PARTIAL, [])
        write_session(tmp_path, str(k), PARTIAL, [], task="restless")
    members = list_members(tmp_path)

    repeats = choose_repeats(members, PLAIN)

    assert repeats.basis == "runs"
    assert all("run-2" in path.name for files in repeats.files.values() for path in files)
    assert choose_repeats(members, PARTIAL).basis == "unknown"
    for k in range(5):
        for session in ("a", "b"):
            write_session(tmp_path, f"s{k}", GSR, [], ses=session)
    assert choose_repeats(list_members(tmp_path), GSR).basis == "sessions"


def test_a_damaged_series_leaves_its_person_out(tmp_path: Path, rng: np.random.Generator) -> None:
    """And nobody else."""
    for k in range(6):
        run = {"sub": str(k), "task": "rest"}
        write_session(tmp_path, str(k), PLAIN, [run])
        path, _ = write_series(tmp_path, run, rng)
    path.write_text("a\tb\n1\t2\n3\n")
    members = list_members(tmp_path)

    indices, edges = RepeatReader(members).read(
        PLAIN, N_REGIONS * 85 // 2, choose_repeats(members, PLAIN)
    )

    assert indices == [0, 1, 2, 3, 4]
    assert edges.shape == (10, N_REGIONS * 85 // 2)
