"""Figures of a training pass over other sessions of the same person."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.pipeline.model_training import train_files
from kraken_bids.scores.metrics import row_correlations
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.significance import list_cells


@pytest.fixture(scope="session")
def sessions(
    tmp_path_factory: pytest.TempPathFactory,
    people: dict[Flavor, np.ndarray],
    ask: Callable[..., object],
) -> Path:
    """Three sessions of ten people each, which are alike, and a model trained on them."""
    folder = tmp_path_factory.mktemp("sessions")
    labels = [f"{k // 3 + 1:03d}_ses-{k % 3 + 1}" for k in range(30)]
    rng = np.random.default_rng(0)
    edges = {
        flavor.name: np.repeat(rows[:10], 3, axis=0) + 1e-4 * rng.standard_normal(rows.shape)
        for flavor, rows in people.items()
    }
    np.savez(folder / "cohort.npz", subjects=np.array(labels), **edges)
    train_files([str(folder / "cohort.npz")], folder / "model", ask())
    return folder


def test_ranks_are_among_the_predictions_of_other_people(sessions: Path) -> None:
    """As the group level and ``kraken-tools evaluate`` rank; chance is of those ranked."""
    model = load_model(sessions / "model", device="cpu")
    with (sessions / "model/splits.tsv").open() as file:
        part = {
            row["participant_id"]: row["split"] for row in csv.DictReader(file, delimiter="\t")
        }
    with (sessions / "model/history.tsv").open() as file:
        history = [
            row for row in csv.DictReader(file, delimiter="\t")
            if (row["epoch"], row["space"]) == ("12", "edges")
            and row["metric"] in {"avgrank", "top1acc"}
        ]  # fmt: skip
    known = np.load(sessions / "cohort.npz")
    labels = known["subjects"].tolist()
    # one person alone validates, among whose sessions nobody can be told from others
    assert {row["split"] for row in history} == {"train", "test"}
    for row in (one for one in history if one["predictor"] == "model"):
        who = [k for k, label in enumerate(labels) if part[label] == row["split"]]
        source, target = (next(f for f in model.flavors if f.name == row[k])
                          for k in ("source", "target"))  # fmt: skip
        latents = model.encode(source, known[source.name][who])
        plain = row_correlations(
            known[target.name][who], model.decode(target, latents, source=source)
        )
        kinship = Kinship.of([labels[k].partition("_")[0] for k in who])
        expected = np.diag(list_cells(plain, plain, kinship)[row["metric"]]).mean()
        assert float(row["value"]) == pytest.approx(expected, abs=1e-4), row
    guessed = [
        float(row["value"]) for row in history
        if (row["split"], row["metric"], row["predictor"]) == ("test", "top1acc", "shuffled")
    ]  # fmt: skip
    n_people = len({label.partition("_")[0] for label in labels if part[label] == "test"})
    assert guessed == pytest.approx([1 / (3 * n_people - 2)] * 9, abs=1e-4)
