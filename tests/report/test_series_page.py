"""Pages of a pretraining and of a decoding: who wins is said as the tables have it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.io.records import write_records
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.decoding_records import (
    CHANCE,
    LINEAR,
    PRETRAINED,
    SCRATCH,
    SHUFFLED,
    ConfusionCount,
    DecodingScore,
    RegionRelevance,
    ShuffledControl,
    TrainingPoint,
    WeightsCheck,
)
from kraken_bids.models.series.peers import LAST, MEAN, NETWORK, RIDGE, PeerLoss
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report.page import draw_figures, render_page
from kraken_bids.report.sections import confusion, decoding_relevance
from kraken_bids.report.series_page import build_series_page, draw_series_page
from kraken_bids.report.written_series import WrittenSeries

REGIONS = load_parcellation("fs86").region_names
LABELS = ("rest", "left hand", "$right^{hand$", "<faces>")
LOSSES = {NETWORK: 0.55, RIDGE: 0.6, LAST: 0.7, MEAN: 0.8}


def write_rows(folder: Path, name: str, rows: list) -> None:
    write_records(folder / name, [type(rows[0])], [[row] for row in rows], description="invented")


def write_model(folder: Path) -> None:
    data = {"regions": list(REGIONS), "atlas": "fs86", "normalization": "zscore"}
    data |= {"repetition_times": [0.72, 2.0], "n_runs": 14, "n_subjects": 7}
    shape = {"framework": "csm", "n_regions": 86, "n_layers": 2, "embedding": 128}
    write_json(folder / "model.json", {"data": data, "architecture": shape})
    write_json(folder / "training.json", {"Steps": 2000})
    parts = ["train"] * 4 + ["validation"] + ["test"] * 2
    names = [f"0{k}" for k in range(1, 8)]
    write_table(folder / "splits.tsv", {"participant_id": names, "split": parts})
    points = []
    for step in range(100, 2100, 100):
        fall = np.exp(-step / 500)
        points += [
            TrainingPoint(step, "train", "loss", 0.55 + 0.25 * fall),
            TrainingPoint(step, "validation", "loss", 0.56 + 0.24 * fall),
            TrainingPoint(step, "train", "learning_rate", 5e-4 * (1 - step / 2000)),
        ]
    write_rows(folder, "history.tsv", points)


def write_pretraining(folder: Path, losses: dict[str, float]) -> None:
    write_model(folder)
    rows = []
    for name, loss in losses.items():
        for subject, shift in (("all", 0.0), ("06", -0.02), ("07", 0.02)):
            rows.append(PeerLoss("test", subject, name, loss + shift, 4000))
    write_rows(folder, "peers.tsv", rows)


def write_decoding(
    folder: Path,
    accuracies: dict[str, float],
    over_linear: tuple[float | None, ...] = (None, None, None),
) -> None:
    write_model(folder)
    scores = []
    for name, value in accuracies.items():
        interval = (value, value - 0.06, value + 0.06)
        scores.append(
            DecodingScore(name, "all", "test", *interval, *interval, 240, 7, *over_linear)
        )
    write_rows(folder, "scores.tsv", scores)
    counts = [ConfusionCount(a, b, 50 if a == b else 8 * (a > b)) for a in LABELS for b in LABELS]
    write_rows(folder, "confusion.tsv", counts)
    rng = np.random.default_rng(0)
    relevance = [
        RegionRelevance(label, region, volume, float(value) * (1 + 9 * (k == number)))
        for number, label in enumerate(LABELS)
        for volume in range(12)
        for k, (region, value) in enumerate(zip(REGIONS, rng.standard_normal(86), strict=True))
    ]
    write_rows(folder, "relevance.tsv", relevance)


def render(folder: Path) -> str:
    page = build_series_page(WrittenSeries(folder))
    return render_page(page, draw_figures(page))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (0.55, "The network beats the best of its peers, ridge regression, by 8.3\u00a0%"),
        (0.66, "The network loses to ridge regression by 10\u00a0%"),
        (0.601, "The network and the best of its peers, ridge regression, are equal"),
    ],
)
def test_it_is_said_who_wins(tmp_path: Path, network: float, said: str) -> None:
    write_pretraining(tmp_path, LOSSES | {NETWORK: network})
    page = render(tmp_path)
    assert said in page
    n_better = 2 if network < LOSSES[RIDGE] else 0
    assert f"lower in {n_better} of 2 subjects" in page
    assert "4\u202f000 values hidden" in page


def test_a_peer_that_is_never_wrong_beats_the_network(tmp_path: Path) -> None:
    write_pretraining(tmp_path, {NETWORK: 0.4, MEAN: 0.0})
    page = render(tmp_path)
    assert "The network loses to mean of training" in page


def test_the_page_of_a_pretraining_stands_in_its_folder(tmp_path: Path) -> None:
    """With its figures beside it; sections without anything to show are left out."""
    write_pretraining(tmp_path, LOSSES)
    path = draw_series_page(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert {one.name for one in tmp_path.glob("*.png")} == {
        "report_peers.png",
        "report_curves.png",
    }
    assert "went from 0.756 to 0.564 in 2\u202f000 steps" in text
    assert "2 subjects: 06, 07<" in text
    assert 'id="scores"' not in text


def test_scores_stand_beside_their_controls(tmp_path: Path) -> None:
    """Methods whose intervals overlap are not told apart."""
    accuracies = {PRETRAINED: 0.8, SCRATCH: 0.75, LINEAR: 0.6, SHUFFLED: 0.27, CHANCE: 0.25}
    write_decoding(tmp_path, accuracies)
    write_rows(tmp_path, "relevance_check.tsv", [WeightsCheck("all", 0.1)])
    page = render(tmp_path)
    assert "It cannot be told apart from the network from scratch" in page
    assert "It is better than the linear baseline" in page
    assert "at chance, as it has to be" in page
    assert "it depends on what the network learned" in page
    assert "&lt;faces&gt;" in page
    assert "<faces>" not in page
    assert page.count("<img") == 5


def test_shuffles_stand_beside_the_binomial_interval_one_by_one(tmp_path: Path) -> None:
    """By subjects and by trials: of three shuffles one is outside the first interval."""
    write_decoding(tmp_path, {SCRATCH: 0.8, LINEAR: 0.6, SHUFFLED: 0.5, CHANCE: 0.5})
    rows = [
        ShuffledControl("1", split, accuracy, 0.5, 9, 0.22, 0.78, 100, 0.4, 0.6)
        for split, accuracy in (("all", 0.5), ("1", 0.5), ("2", 0.7), ("3", 0.9))
    ]
    whole = ShuffledControl("all", "all", 0.7, 0.5, 9, 0.22, 0.78, 100, 0.4, 0.6)
    write_rows(tmp_path, "shuffles.tsv", [whole, *rows])
    page = " ".join(render(tmp_path).split())
    assert "All together, they are right in 70 % [22 %, 78 %] of the trials" in page
    assert "The accuracy of 2 of 3 networks trained on shuffled labels" in page
    assert "and that of 1 if every trial is one" in page
    assert "0.220 to 0.780" in page


def test_a_decoder_of_volumes_has_a_page_of_volumes(tmp_path: Path) -> None:
    write_decoding(tmp_path, {SCRATCH: 0.8, LINEAR: 0.6, SHUFFLED: 0.5, CHANCE: 0.5})
    (tmp_path / "relevance.tsv").unlink()
    write_json(tmp_path / "training.json", {"Steps": 2000, "NumberOfVolumes": 240})
    row = ShuffledControl("1", "1", 0.5, 0.5, 9, 0.22, 0.78, 100, 0.4, 0.6)
    write_rows(tmp_path, "shuffles.tsv", [row])
    page = render(tmp_path)
    assert "of test volumes right" in page
    assert "trial" not in page


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.02, 0.08), "It is better than the linear baseline: 57\u00a0% [51\u00a0%, 63\u00a0%]; "
         "difference 5\u00a0% [2\u00a0%, 8\u00a0%]"),
        ((-0.02, 0.12), "It cannot be told apart from the linear baseline"),
    ],
)  # fmt: skip
def test_the_linear_method_is_compared_on_the_same_trials(
    tmp_path: Path, ends: tuple[float, float], said: str
) -> None:
    """By the interval of the gain, though intervals of both overlap."""
    write_decoding(tmp_path, {SCRATCH: 0.62, LINEAR: 0.57}, over_linear=(0.05, *ends))
    assert said in render(tmp_path)


def test_too_few_shuffles_are_not_called_a_control_that_holds(tmp_path: Path) -> None:
    write_decoding(tmp_path, {SCRATCH: 0.3, LINEAR: 0.3, SHUFFLED: 0.27, CHANCE: 0.25})
    assert "there are too few shuffles" in render(tmp_path)


def test_controls_that_fail_are_told(tmp_path: Path) -> None:
    """Labels dealt out anew that can be decoded, and relevance that random weights have too."""
    write_decoding(tmp_path, {SCRATCH: 0.5, LINEAR: 0.7, SHUFFLED: 0.5, CHANCE: 0.25})
    write_rows(tmp_path, "relevance_check.tsv", [WeightsCheck("all", 0.9)])
    page = render(tmp_path)
    assert "The network from scratch decodes" in page
    assert "It is worse than the linear baseline" in page
    assert "NOT at chance" in page
    assert "Do not interpret it" in page


def test_labels_that_are_numbers_are_shown_as_spelled(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_rows(
        tmp_path, "confusion.tsv", [ConfusionCount("01", "1", 3), ConfusionCount("1", "1", 4)]
    )
    found = confusion.gather(WrittenSeries(tmp_path))
    assert found is not None
    assert found.labels == ("01", "1")


def test_a_damaged_table_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pretraining(tmp_path, LOSSES)
    (tmp_path / "peers.tsv").write_text("split\tloss\ntest\tmuch\n")
    assert 'id="peers"' not in render(tmp_path)
    assert "left out of the report" in caplog.text


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_regions_lie_at_their_places_in_any_order(tmp_path: Path, order: slice) -> None:
    """Left is left."""
    write_model(tmp_path)
    rows = [RegionRelevance("rest", region, 0, 1.0) for region in REGIONS[order]]
    write_rows(tmp_path, "relevance.tsv", rows)

    found = decoding_relevance.gather(WrittenSeries(tmp_path))

    np.testing.assert_array_equal(found.centres, load_centres("fs86")[order])
    numbered = [replace(row, region=str(REGIONS.index(row.region) + 1)) for row in rows]
    write_rows(tmp_path, "relevance.tsv", numbered)
    found = decoding_relevance.gather(WrittenSeries(tmp_path))
    np.testing.assert_array_equal(found.centres, load_centres("fs86")[order])
    write_rows(tmp_path, "relevance.tsv", [replace(row, region=f"{row.region}x") for row in rows])
    assert not len(decoding_relevance.gather(WrittenSeries(tmp_path)).centres)
