"""``kraken-tools embed``: a vector per run, and what is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.cli.tools import main
from kraken_bids.cohort.latent_tables import read_latent_tables
from kraken_bids.io.facts import read_facts
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_table
from kraken_bids.models.series.checkpoint import write_series_model
from tests.cohort.test_series_store import NAMES, simulate, write_run
from tests.io.test_sample_tars import write_tar
from tests.test_series_estimator import make_model


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["embed", *map(str, words), "--device", "cpu"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_series_model(make_model(3, regions=NAMES, atlas="abc"), tmp_path / "model")


def test_each_run_has_a_vector_in_a_table_of_latents_or_an_array(
    tmp_path: Path, model: Path
) -> None:
    write_run(tmp_path / "out", "01", simulate())
    # in another order, with a region that the model does not know
    other = np.column_stack([simulate(), simulate(seed=3)[:, 0]])[:, [2, 3, 0, 1]]
    write_run(tmp_path / "other", "02", other, ("C", "D", "A", "B"))
    for source, subject in (("out", "01"), ("other", "02")):
        table = tmp_path / f"{subject}.tsv"
        result = run(tmp_path / source, "--model", model, "--output", table)
        assert result.exit_code == 0, result.output
        assert read_columns(table)["participant_id"].tolist() == [f"sub-{subject}"]
    first, second = (read_latent_tables(tmp_path / f"{one}.tsv")[1] for one in ("01", "02"))
    np.testing.assert_allclose(first["series"], second["series"], atol=1e-6)
    values = simulate()
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    expected = make_model(3).embed([scaled], [2.0])
    np.testing.assert_allclose(first["series"], expected, atol=1e-5)
    assert read_facts(tmp_path / "01.json").part("Series").text("atlas") == "abc"

    assert run(tmp_path / "out", "--model", model, "--output", tmp_path / "v.npy").exit_code == 0
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), first["series"], atol=1e-7)
    assert read_columns(tmp_path / "v.tsv")["task"].tolist() == ["rest"]
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_each_trial_has_a_vector_of_its_own_volumes(tmp_path: Path, model: Path) -> None:
    write_run(tmp_path / "out", "01", simulate())
    events = tmp_path / "bids" / "sub-01" / "func" / "sub-01_task-rest_events.tsv"
    events.parent.mkdir(parents=True)
    columns = {"onset": [0.0, 20.0], "duration": [10.0, 8.0], "trial_type": ["faces", "tools"]}
    write_table(events, columns)
    words = [tmp_path / "out", "--model", model, "--output", tmp_path / "v.tsv"]
    result = run(*words, "--events", tmp_path / "bids", "--onset-lag", 4)
    assert result.exit_code == 0, result.output
    table = read_columns(tmp_path / "v.tsv")
    assert table["label"].tolist() == ["faces", "tools"]
    assert table["first_volume"].tolist() == [2, 12]
    values = simulate()
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    expected = make_model(3).embed([scaled[2:7], scaled[12:16]], [2.0, 2.0])
    found = np.stack([table[f"z{k:03d}"] for k in range(8)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    result = run(*words, "--events", tmp_path / "nowhere")
    assert (result.exit_code, "events.tsv" in result.output) == (3, True)
    result = run(*words, "--onset-lag", 4, "--classes", "faces")
    assert result.exit_code == 2
    assert "--onset-lag and --classes beside --events" in " ".join(result.output.split())


def test_samples_of_a_tar_keep_their_labels(tmp_path: Path, model: Path) -> None:
    values = np.random.default_rng(0).standard_normal((11, 3)).astype(np.float32)
    members: dict[str, object] = {}
    for k in range(2):
        key = f"ds-X_sub-01_task-motor_run-1_sample_{k:03d}"
        members |= {
            f"{key}.bold.pyd": values[k:],
            f"{key}.t_r.pyd": np.float32(2),
            f"{key}.task_label.pyd": np.int32(k),
        }
    tar = write_tar(tmp_path / "a.tar", members)
    words = ["--model", model, "--output", tmp_path / "v.tsv"]
    result = run(tar, *words)
    assert result.exit_code == 4
    assert "--atlas abc" in result.output
    result = run(tar, *words, "--atlas", "abc")
    assert result.exit_code == 0, result.output
    assert read_columns(tmp_path / "v.tsv")["task_label"].tolist() == [0.0, 1.0]


def test_wrong_words_are_refused_before_anything_is_written(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run(tmp_path / "out", "01", simulate(), RepetitionTime=0.72)
    words = [tmp_path / "out", "--model", model, "--output"]
    result = run(*words, tmp_path / "v.csv")
    assert (result.exit_code, "expected a file .tsv or .npy" in result.output) == (2, True)
    with caplog.at_level(logging.ERROR):
        result = run(*words, tmp_path / "v.tsv")
    assert (result.exit_code, "(2 s); found 0.72 s" in result.output) == (4, True)
    result = run(tmp_path / "nowhere", "--model", model, "--output", tmp_path / "v.tsv")
    assert (result.exit_code, "found nothing at" in result.output) == (3, True)
    result = run(tmp_path / "out", "--model", tmp_path, "--output", tmp_path / "v.tsv")
    assert result.exit_code == 5
    assert not (tmp_path / "v.tsv").exists()


@pytest.mark.parametrize("suffix", [".npy", ".tsv"])
def test_what_is_read_is_never_written_over(suffix: str, tmp_path: Path, model: Path) -> None:
    """Nor by the table or the sidecar that are written beside an array."""
    path = write_run(tmp_path / "out", "01", simulate())
    files = [path, path.with_suffix(".json"), model / "model.json"]
    before = [one.read_bytes() for one in files]
    for output in (path.with_suffix(suffix), model / f"model{suffix}"):
        for source in (path, tmp_path / "out"):
            result = run(source, "--model", model, "--output", output)
            assert (result.exit_code, "--output elsewhere" in result.output) == (2, True)
    assert [one.read_bytes() for one in files] == before
