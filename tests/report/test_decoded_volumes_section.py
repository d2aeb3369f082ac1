"""The section of decoded volumes: what it reads of files, and which voxels it shows."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kraken_bids.cohort.members import Member
from kraken_bids.io.nifti import write_volumes
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.report.decoded_run_page import draw_decoded_run
from kraken_bids.report.page import build_subject_page, draw_figures, render_page
from kraken_bids.report.sections.decoded_volumes import read_decoded_run
from kraken_bids.report.voxel_maps import VoxelMap, draw_voxel_map, make_voxel_map
from kraken_bids.report.written import Written

AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -40], [0, 0, 2, -20], [0, 0, 0, 1]])
GRID = (24, 28, 22)
STEM = "sub-01_task-motor_space-MNI152NLin6Asym_res-2"
STATES = ["left", "right", "left", "n/a", "left"]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write what decode-volumes writes of a run: two states, one volume that does not count."""
    func = tmp_path / "sub-01" / "func"
    func.mkdir(parents=True)
    p = np.where(np.array(STATES) == "n/a", np.nan, np.where(np.array(STATES) == "left", 0.9, 0.2))
    table = func / f"{STEM}_desc-decode_probabilities.tsv"
    write_table(table, {
        "volume": np.arange(1, 6), "onset": 2.0 * np.arange(5), "state": STATES,
        "p_left": p, "p_right": 1 - p,
    })  # fmt: skip
    write_json(table.with_suffix(".json"), {"RepetitionTime": 2.0})
    lost = {"output": 0.25, "lstm": -0.05, "convolution 1": 0.001}
    facts = {"LostRelevance": lost, "MeanLogit": 3.5, "Rule": "epsilon, signed"}
    write_json(func / f"{STEM}_desc-decode_relevance.json", facts)
    rng = np.random.default_rng(0)
    for name, number in (("left", 3), ("right", 1)):
        values = rng.normal(0, 0.1, GRID).astype(np.float32)
        values[5, 6, 7] = -9 if name == "left" else 0.1
        path = func / f"{STEM}_stat-mean_label-{name}_desc-decode_relevance.nii.gz"
        write_volumes(path, [values], (*GRID, 1), AFFINE, repetition_time=0)
        own = {"State": name, "NumberOfVolumes": number, "MapSmoothingFWHM": 6.0}
        write_json(Path(str(path).replace(".nii.gz", ".json")), {**own, "Percentile95": 0.2})
    write_table(func / f"{STEM}_atlas-mine_desc-decode_relevance.tsv", {
        "region": ["a", "b", "c"], "left": [0.1, -4.0, 0.0], "right": [1.0, 2.0, 3.0],
    })  # fmt: skip
    return Written(tmp_path, Member("01", None, {}))


def test_a_session_of_decoded_volumes_alone_has_a_page(written: Written) -> None:
    page = build_subject_page(written)
    (run,) = page.data["decoded"]
    assert run.counts == [("left", 3), ("right", 1)]
    assert run.arrived == pytest.approx(1 - 0.25 + 0.05 - 0.001)
    assert [one.state for one in run.maps] == ["left", "right"]
    assert run.maps[0].voxels.peak == (20, -28, -6)
    assert run.maps[0].voxels.threshold == 0.2
    (sums,) = run.sums
    assert sums.rows[0] == ("left", [("b", -4.0), ("a", 0.1)])
    figures = draw_figures(page)
    assert len(figures) == 3
    html = render_page(page, figures)
    for words in (
        "left (3 volumes), right (1 volume)", "80\u00a0% arrived at the voxels",
        "output 25\u00a0%, lstm made 5\u00a0%", "95th percentile", "b (−4.00)", "1</span>",
        "20, −28, −6 mm",
    ):  # fmt: skip
        assert words in html, words
    assert "No FC input" not in html
    assert "How to cite" not in html
    assert "no longer add up" not in html
    assert "flavors measured" not in html


def test_pages_of_two_runs_in_one_folder_leave_each_other_alone(written: Written) -> None:
    """The second is named as the first and something more."""
    func = written.folder / "func"
    first = func / f"{STEM}_desc-decode_probabilities.tsv"
    second = func / first.name.replace("_space", "_run-2_space")
    second.write_bytes(first.read_bytes())
    pages = [draw_decoded_run(path) for path in (first, second)]
    assert len({*pages, first, second}) == 4
    pictures = list((func / "figures").iterdir())
    assert len(pictures) == 3 + 1
    assert [page.read_text().count("data:image/png") for page in pages] == [3, 1]
    draw_decoded_run(first)
    assert sorted((func / "figures").iterdir()) == sorted(pictures)


def test_relevance_that_was_lost_is_said(written: Written) -> None:
    """By far: what is left does not say how much a voxel adds to the logit."""
    path = written.folder / "func" / f"{STEM}_desc-decode_relevance.json"
    write_json(path, {"LostRelevance": {"lstm": 1.9, "output": 0.2}, "MeanLogit": 1.0})
    page = build_subject_page(written)
    html = render_page(page, {})
    assert "−110\u00a0% arrived" in html
    assert "no longer add up to the logit" in html


def test_maps_of_another_run_are_not_shown(written: Written) -> None:
    """One whose name has an entity more, or less."""
    func = written.folder / "func"
    for path in list(func.glob(f"{STEM}_stat-mean_label-left*")):
        path.rename(path.with_name(path.name.replace("task-motor", "task-motor_run-1")))
    (run,) = build_subject_page(written).data["decoded"]
    assert [one.state for one in run.maps] == ["right"]


def test_maps_of_another_participant_in_the_folder_are_not_shown(written: Written) -> None:
    """Of decode-volumes, whose folder may be the same for several."""
    func = written.folder / "func"
    second = func / f"{STEM}_desc-decode_probabilities.tsv".replace("sub-01", "sub-02_ses-1")
    second.write_bytes((func / f"{STEM}_desc-decode_probabilities.tsv").read_bytes())
    write_json(func / f"{STEM}_desc-decode_relevance.json".replace("sub-01", "sub-02_ses-1"), {
        "LostRelevance": {"lstm": 0.1},
    })  # fmt: skip
    run = read_decoded_run(second)
    assert not run.maps
    assert not run.sums


def count_pixels(png: bytes) -> tuple[int, int]:
    """Count reddish and bluish pixels."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)
    # the scale of colours stands at the right
    red, _, blue = np.moveaxis(pixels[:, : int(0.9 * pixels.shape[1])], -1, 0)
    return int((red - blue > 60).sum()), int((blue - red > 60).sum())


def test_red_voxels_are_positive_and_weak_ones_are_not_shown() -> None:
    values = np.full(GRID, 0.01)
    values[8:12, 8:12, 8:12] = 1.0
    found = make_voxel_map(values, AFFINE, threshold=0.5)
    assert found.n_shown == 64
    n_red, n_blue = count_pixels(draw_voxel_map(found))
    assert n_red > 50
    assert n_blue == 0
    n_red, n_blue = count_pixels(draw_voxel_map(make_voxel_map(-values, AFFINE, threshold=0.5)))
    assert n_red == 0
    assert n_blue > 50
    everything = draw_voxel_map(VoxelMap(values, AFFINE, 1e-3, (0, 0, 0)))
    assert everything != draw_voxel_map(found)


def test_a_map_of_nothing_is_drawn_as_nothing() -> None:
    found = make_voxel_map(np.full(GRID, np.nan), AFFINE)
    assert found.is_empty
    assert found.n_shown == 0
    assert count_pixels(draw_voxel_map(found)) == (0, 0)
