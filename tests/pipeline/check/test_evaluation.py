"""``kraken-tools evaluate``: every kind of file in, the metrics of the plain definitions out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from kraken_bids.bids.outputs import prediction_archive_path, relmat_path
from kraken_bids.cli.tools import main
from kraken_bids.cohort.prediction_archives import write_predictions
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.pls_peer import predict_held_out
from kraken_bids.models.splits import deal_folds
from kraken_bids.region_orders import list_edge_orders
from tests.plain_metrics import compute_metrics

N = 10


@pytest.fixture
def labels() -> list[str]:
    return [f"{k + 1:02d}" for k in range(N)]


@pytest.fixture
def predicted(
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> dict[tuple[str, Flavor], NDArray]:
    """Noisy copies of the cohort, from two sources."""
    rng = np.random.default_rng(2)
    return {
        (source, flavor): (rows[:N] + noise * rng.standard_normal(rows[:N].shape)).astype(
            np.float32
        )
        for source, noise in (("fusion", 0.3), ("fusionSC", 1.5))
        for flavor, rows in cohort_edges.items()
    }


@pytest.fixture
def observed(
    tmp_path: Path, cohort_edges: dict[Flavor, NDArray[np.float64]], labels: list[str]
) -> Path:
    """Write the cohort in one file, in another order than the predictions."""
    path = tmp_path / "observed.npz"
    order = np.random.default_rng(1).permutation(N)
    arrays = {f.name: rows[order].astype(np.float32) for f, rows in cohort_edges.items()}
    np.savez(path, subjects=np.array([f"sub-{labels[k]}" for k in order]), **arrays)
    return path


@dataclass(frozen=True)
class Arrays:
    """Predictions that are there already."""

    subjects: tuple[str, ...]
    arrays: dict[str, NDArray]

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of every array."""
        return {key: rows.shape for key, rows in self.arrays.items()}

    def blocks(self) -> Iterator[tuple[str, NDArray]]:
        """Every array as one block."""
        return iter(self.arrays.items())


def write_file(
    predicted: dict[tuple[str, Flavor], NDArray], labels: list[str], path: Path
) -> Path:
    arrays = {f"{source}->{target}": rows for (source, target), rows in predicted.items()}
    arrays["fusion->encoded"] = np.zeros((N, 4))
    write_predictions(Arrays(tuple(labels), arrays), path)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(word) for word in words)])


def read_values(path: Path) -> dict[tuple[str, str, str], float]:
    columns = read_columns(path)
    keys = zip(columns["source"], columns["target"], columns["metric"], strict=True)
    return {tuple(map(str, k)): float(v) for k, v in zip(keys, columns["value"], strict=True)}


def check_values(
    found: dict[tuple[str, str, str], float],
    predicted: dict[tuple[str, Flavor], NDArray],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    assert len(found) == 13 * len(predicted)
    for (source, target), rows in predicted.items():
        observed = cohort_edges[target][:N].astype(np.float32)
        for metric, value in compute_metrics(observed, rows).items():
            assert found[source, target.name, metric] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_every_format_that_predict_writes_is_read(
    suffix: str,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    observed: Path,
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """Subjects are matched by name, with or without sub-; latents are passed over."""
    path = write_file(predicted, labels, tmp_path / f"predicted{suffix}")

    result = run("--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv")

    assert result.exit_code == 0, result.output
    check_values(read_values(tmp_path / "out.tsv"), predicted, cohort_edges)
    assert "6 pairs of source and target" in result.output
    columns = read_columns(tmp_path / "out.tsv")
    is_known = np.isfinite(columns["value"])
    assert set(columns["n"][is_known]) == {N}
    assert set(columns["basis"][~is_known]) == {"unknown", "n/a"}
    assert (columns["low"] <= columns["value"] + 1e-9)[is_known].all()
    assert (columns["value"] <= columns["high"] + 1e-9)[is_known].mean() > 0.9
    assert np.nanmin(columns["p"]) == pytest.approx(1 / 1001)
    assert set(read_json(tmp_path / "out.json")) >= set(columns) - {"source", "target", "value"}


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_people_spelled_differently_in_both_files_are_compared(
    suffix: str,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    observed: Path,
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """sub01 is 01: nobody is dropped, and it is said."""
    names = [f"sub{label}" for label in labels]
    path = write_file(predicted, names, tmp_path / f"predicted{suffix}")

    result = run("--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv")

    assert result.exit_code == 0, result.output
    check_values(read_values(tmp_path / "out.tsv"), predicted, cohort_edges)
    assert set(read_columns(tmp_path / "out.tsv")["n"]) == {N, 0}
    assert "taken as the same" in result.output


def test_a_folder_of_bids_named_predictions_is_read(
    output_dir: Path,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """What kraken-bids writes is judged as it lies, measured and predicted in one folder."""
    for (source, target), rows in predicted.items():
        for label, row in zip(labels, rows, strict=True):
            path = relmat_path(output_dir, {"sub": label}, target, source=source)
            write_relmat(path, edges_to_square(row, diagonal=target.diagonal))

    result = run(
        "--predicted", output_dir, "--observed", output_dir, "--output", tmp_path / "out.tsv",
        "--permutations", 0, "--bootstraps", 0,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert "2 subject(s) are left out: observed, not predicted: 11, 12" in result.output
    check_values(read_values(tmp_path / "out.tsv"), predicted, cohort_edges)


def test_one_archive_per_person_is_read(
    output_dir: Path,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """What kraken-bids --output-format h5 writes: squares, SOURCE/FLAVOR."""
    for k, label in enumerate(labels):
        with h5py.File(prediction_archive_path(output_dir, label, None), "w") as file:
            for (source, target), rows in predicted.items():
                file[f"{source}/{target}"] = edges_to_square(rows[k], diagonal=target.diagonal)

    result = run(
        "--predicted", output_dir, "--observed", output_dir, "--output", tmp_path / "out.tsv",
        "--permutations", 0, "--bootstraps", 0,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    check_values(read_values(tmp_path / "out.tsv"), predicted, cohort_edges)


def test_a_subset_is_intersected_and_a_missing_connectome_leaves_one_person_out(
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """Metrics are those of the people that remain."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")
    target = next(iter(cohort_edges))
    rows = cohort_edges[target][:6].astype(np.float32)
    rows[2] = np.nan
    np.savez(tmp_path / "few.npz", data=rows, subjects=np.array(labels[:6]))

    result = run(
        "--predicted", path, "--observed", f"{target}={tmp_path / 'few.npz'}",
        "--output", tmp_path / "out.tsv",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert "4 subject(s) are left out: predicted, not observed: 07, 08, 09, 10" in result.output
    kept = [0, 1, 3, 4, 5]
    expected = compute_metrics(rows[kept], predicted["fusion", target][kept])
    found = read_values(tmp_path / "out.tsv")
    assert found["fusion", target.name, "avgcorr"] == pytest.approx(expected["avgcorr"], abs=1e-6)
    assert set(read_columns(tmp_path / "out.tsv")["n"]) == {5, 0}


@pytest.mark.parametrize("n_flavors", [1, 3])
def test_pairs_of_too_few_subjects_are_said_once(
    n_flavors: int,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """One line says how many pairs and why, whether others remain or none."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")
    arrays = {f.name: rows[:N].astype(np.float32) for f, rows in cohort_edges.items()}
    for name in sorted(arrays)[:n_flavors]:
        arrays[name][2:] = np.nan
    np.savez(tmp_path / "few.npz", subjects=np.array(labels), **arrays)

    result = run(
        "--predicted", path, "--observed", tmp_path / "few.npz", "--output", tmp_path / "out.tsv",
        "--permutations", 0, "--bootstraps", 0,
    )  # fmt: skip

    said = f"{2 * n_flavors} of 6 pairs are left out, since fewer than 3 subjects have both"
    assert result.output.count("left out, since") == 1
    assert said in result.output
    assert result.exit_code == (4 if n_flavors == 3 else 0), result.output


def test_a_models_training_mean_can_be_subtracted(
    tmp_path: Path,
    model_folder: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    observed: Path,
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """avgcorr_resid less the mean of the training subjects, who are shifted copies here."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")

    result = run(
        "--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv",
        "--model", model_folder, "--figure", tmp_path / "out.png", "--figure_metric", "avgcorr",
        "--permutations", 9, "--bootstraps", 9,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    found = read_values(tmp_path / "out.tsv")
    for (source, target), rows in predicted.items():
        mean = (2 * cohort_edges[target] + 0.1).mean(axis=0)
        pairs = zip(cohort_edges[target][:N] - mean, rows - mean, strict=True)
        expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])
        assert found[source, target.name, "avgcorr_resid"] == pytest.approx(expected, abs=1e-4)
        x = cohort_edges[target][:N]
        gain = 1 - ((x - rows) ** 2).sum() / ((x - mean) ** 2).sum()
        assert found[source, target.name, "gain"] == pytest.approx(gain, abs=1e-4)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_observed_connectomes_in_another_order_are_warned_of(
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
    labels: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for all flavors and sources; those in the right order are not."""
    path = write_file(predicted, labels, tmp_path / "p.npz")
    order = next(one for one in list_edge_orders("fs86", 3655) if one.name == "cortex-first")
    for edges, n_said in ((slice(None), 0), (order.edges, 1)):
        caplog.clear()
        arrays = {f.name: rows[:N, edges] for f, rows in cohort_edges.items()}
        np.savez(tmp_path / "o.npz", subjects=np.array(labels), **arrays)
        words = ["--predicted", path, "--observed", tmp_path / "o.npz"]
        words += ["--output", tmp_path / "m.tsv", "--permutations", 0, "--bootstraps", 0]
        assert run(*words).exit_code == 0
        said = [text for text in caplog.messages if order.words in text]
        assert len(said) == n_said
        for text in said:
            assert "as observed: seems to be in another order" in text
            assert all(flavor.name in text for flavor in cohort_edges)


def test_observed_values_that_cannot_be_are_warned_of(
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
    labels: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the people's names: one connectome for two, and one that is a failed run's."""
    path = write_file(predicted, labels, tmp_path / "p.npz")
    arrays = {f.name: rows[:N].copy() for f, rows in cohort_edges.items()}
    for rows in arrays.values():
        rows[1], rows[2] = rows[0], 0
    np.savez(tmp_path / "o.npz", subjects=np.array(labels), **arrays)
    words = ["--predicted", path, "--observed", tmp_path / "o.npz"]
    words += ["--output", tmp_path / "m.tsv", "--permutations", 0, "--bootstraps", 0]
    assert run(*words).exit_code == 0
    assert any(
        f"of {labels[0]}, {labels[1]}: as observed: their connectomes are one and the same" in text
        for text in caplog.messages
    )
    assert any(
        f"of {labels[2]}: as observed: all edges are the same" in text for text in caplog.messages
    )


def test_the_seed_alone_decides_the_draws(
    tmp_path: Path, predicted: dict[tuple[str, Flavor], NDArray], observed: Path, labels: list[str]
) -> None:
    """The same table byte for byte; another seed, other intervals."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")
    tables = []
    for seed in (1, 1, 2):
        out = tmp_path / "out.tsv"
        run("--predicted", path, "--observed", observed, "--output", out, "--seed", seed)
        tables.append(out.read_bytes())

    assert tables[0] == tables[1] != tables[2]


def break_nothing_in_common(folder: Path, rows: NDArray) -> tuple[Path, str]:
    np.savez(folder / "x.npz", subjects=np.array(["a", "b", "c"]), FCcorr_fs86_hpf=rows[:3])
    return folder / "x.npz", "found none in common: 01, 02"


def break_two_subjects(folder: Path, rows: NDArray) -> tuple[Path, str]:
    np.savez(folder / "x.npz", subjects=np.array(["01", "02"]), FCcorr_fs86_hpf=rows[:2])
    return folder / "x.npz", "at least 3 subjects"


def break_other_flavor(folder: Path, rows: NDArray) -> tuple[Path, str]:
    np.savez(folder / "x.npz", subjects=np.array(["01"]), SCsdstream_fs86_volnorm=rows[:1])
    return folder / "x.npz", "observed connectomes of a predicted flavor"


@pytest.mark.parametrize(
    "breaks", [break_nothing_in_common, break_two_subjects, break_other_flavor]
)
def test_observed_files_that_do_not_fit_are_explained(
    breaks,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    labels: list[str],
    cohort_edges: dict[Flavor, NDArray[np.float64]],
) -> None:
    """A message and an exit code, no traceback, no table."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")
    observed, message = breaks(tmp_path, next(iter(cohort_edges.values())))

    result = run("--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv")

    assert result.exit_code in {3, 4}, result.output
    assert message in result.output
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize("name", ["none.npz", "cut.npz", "cut.h5", "empty", "nameless.npz"])
def test_predictions_that_cannot_be_read_are_explained(
    name: str,
    tmp_path: Path,
    predicted: dict[tuple[str, Flavor], NDArray],
    observed: Path,
    labels: list[str],
) -> None:
    """A missing file, truncated files, a folder without predictions, rows without names."""
    path = tmp_path / name
    if name.startswith("cut"):
        write_file(predicted, labels, path)
        path.write_bytes(path.read_bytes()[:2000])
    elif name == "empty":
        path.mkdir()
    elif name == "nameless.npz":
        np.savez(path, **{"fusion->FCcorr_fs86_hpf": np.zeros((3, 3655))})

    result = run("--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv")

    assert result.exit_code == 3, result.output
    assert "Error: " in result.output
    assert "expected" in result.output


def test_peers_and_ceilings_stand_beside_where_inputs_and_second_measurements_are_given(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Partial least squares from the inputs, sessions of a person in one fold; spelled anyhow."""
    source, target = parse_flavor("SCifod2act_fs86_volnorm"), parse_flavor("FCcorr_fs86_hpf")
    people = [f"{k // 2 + 1:02d}_ses-{k % 2 + 1}" for k in range(44)]
    own = np.repeat(rng.standard_normal((22, 3)), 2, axis=0)
    x, y = (
        own @ rng.standard_normal((3, 3655)) + rng.standard_normal((44, 3655)) for _ in range(2)
    )
    np.savez(tmp_path / "p.npz", subjects=people, **{f"fusionSC->{target}": 0.3 * y + 0.1})
    np.savez(tmp_path / "o.npz", subjects=people, **{target.name: y})
    spelled = [f"sub-{label}" for label in people]
    np.savez(tmp_path / "i.npz", subjects=spelled, **{source.name: x})
    again = y + rng.standard_normal(y.shape)
    np.savez(tmp_path / "r.npz", subjects=spelled[:30], **{target.name: again[:30]})
    words = ["--predicted", tmp_path / "p.npz", "--observed", tmp_path / "o.npz"]
    words += ["--output", tmp_path / "out.tsv"]

    sessions = run(*words)
    by_sessions = read_values(tmp_path / "out.tsv")
    given = run(*words, "--input", tmp_path / "i.npz", "--retest", tmp_path / "r.npz")
    found = read_values(tmp_path / "out.tsv")

    assert sessions.exit_code == given.exit_code == 0, given.output
    key = "fusionSC", target.name
    folds = deal_folds(44, 10, families=[label[:2] for label in people])
    weights = predict_held_out(x @ x.T, y @ y.T, folds).weights
    mean = np.stack([y[folds != fold].mean(axis=0) for fold in folds])
    gain = 1 - ((weights @ y - y) ** 2).sum() / ((mean - y) ** 2).sum()
    assert found[*key, "pls_gain"] == pytest.approx(gain, abs=1e-5)
    assert gain > 0.2
    assert (*key, "pls_gain") not in by_sessions
    middle = (y[:30].mean(axis=0) + again[:30].mean(axis=0)) / 2
    twice = compute_metrics(y[:30], again[:30], mean=middle)
    assert found[*key, "ceiling_avgcorr_resid"] == pytest.approx(twice["avgcorr_resid"], abs=1e-5)
    other = compute_metrics(y[::2], y[1::2], mean=y.mean(axis=0))
    assert by_sessions[*key, "ceiling_avgrank"] == pytest.approx(other["avgrank"])
    share = found[*key, "avgcorr_resid"] / found[*key, "ceiling_avgcorr_resid"]
    assert found[*key, "ceiling_share"] == pytest.approx(share)
    assert set(read_columns(tmp_path / "out.tsv")["basis"]) == {"n/a", "given"}


@pytest.mark.parametrize(
    ("whose", "noise", "said"),
    [
        ("x{}", 1.0, "at least 5 of the subjects compared; found those of 0"),
        ("{}", 0.0, "(--retest) of 12 subject(s) is the first one itself"),
    ],
)
def test_second_measurements_that_are_none_give_no_ceiling(
    tmp_path: Path, rng: np.random.Generator, whose: str, noise: float, said: str
) -> None:
    """Those of other people, and the first measurement given again, which would reach 1."""
    target, y = "FCcorr_fs86_hpf", rng.standard_normal((12, 3655))
    people = [f"{k:02d}" for k in range(12)]
    np.savez(tmp_path / "p.npz", subjects=people, **{f"fusionSC->{target}": 0.3 * y + 0.1})
    np.savez(tmp_path / "o.npz", subjects=people, **{target: y})
    again = y + noise * rng.standard_normal(y.shape)
    others = [whose.format(label) for label in people]
    np.savez(tmp_path / "r.npz", subjects=others, **{target: again})
    words = ["--predicted", tmp_path / "p.npz", "--observed", tmp_path / "o.npz"]

    done = run(*words, "--retest", tmp_path / "r.npz", "--output", tmp_path / "out.tsv")

    assert done.exit_code == 0, done.output
    assert said in done.output
    assert set(read_columns(tmp_path / "out.tsv")["basis"]) == {"n/a", "unknown"}


def test_correlations_are_never_shown_without_the_mean(
    tmp_path: Path, predicted: dict[tuple[str, Flavor], NDArray], observed: Path, labels: list[str]
) -> None:
    """The terminal's table says what the group mean reaches, and that the ceiling is unknown."""
    path = write_file(predicted, labels, tmp_path / "predicted.npz")

    result = run("--predicted", path, "--observed", observed, "--output", tmp_path / "out.tsv")

    found = read_values(tmp_path / "out.tsv")
    for (source, target), _ in predicted.items():
        r, mean = (found[source, target.name, m] for m in ("avgcorr", "baseline_avgcorr"))
        line = next(
            row for row in result.output.splitlines() if row.split()[:2] == [source, target.name]
        )
        assert f"{r:.3f} ({mean:.3f})" in line
        assert "unknown" in line
        assert f"{found[source, target.name, 'gain']:.3f} [" in line
    assert "knows nothing of the person" in result.output
