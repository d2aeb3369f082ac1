"""Presence of communities in each scan, and motion above it, on the page of a participant."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kraken_bids.bids.outputs import group_path, sidecar_path
from kraken_bids.cohort.members import Member
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.report.page import draw_figures, render_page
from kraken_bids.report.presence_carpet import GAP, TRACE, PresenceCarpet, draw_presence
from kraken_bids.report.section import Page
from kraken_bids.report.sections import presence
from kraken_bids.report.theme import read_png_size
from kraken_bids.report.written import Written

N_VOLUMES = 50


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two runs of a participant, the first with a table of its volumes."""
    table = group_path(tmp_path, "atlas-fs86_desc-communities_communities.tsv")
    write_table(table, {"community": ["C1", "C2", "C3"], "n_regions": [60, 26, 0]})
    func = tmp_path / "sub-01" / "func"
    for run in "12":
        start = f"sub-01_task-rest_run-{run}"
        path = func / f"{start}_space-T1w_atlas-fs86_desc-communities_timeseries.tsv"
        write_table(path, {name: np.linspace(0, 1, N_VOLUMES) for name in ("C1", "C2", "C3")})
        write_json(sidecar_path(path), {"P_phase": {"C1": 0.05, "C2": 0.45, "C3": None}})
    moved = np.full(N_VOLUMES, 0.1)
    volumes = func / "sub-01_task-rest_run-1_desc-quality_timeseries.tsv"
    write_table(volumes, {"framewise_displacement": moved, "kept": np.ones(N_VOLUMES)})
    return tmp_path


def test_every_scan_is_shown_with_its_motion_where_that_is_known(output: Path) -> None:
    scans = presence.list_presence(Written(output, Member("01", None, {})))
    assert [one.figure for one in scans] == [
        "presence_fs86_task-rest_run-1_space-T1w",
        "presence_fs86_task-rest_run-2_space-T1w",
    ]
    assert scans[0].carpet.names == ("C1", "C2")  # in C3 is no region
    assert scans[0].carpet.displacement is not None
    assert scans[0].carpet.displacement.tolist() == [0.1] * N_VOLUMES
    assert scans[1].carpet.displacement is None
    assert scans[0].p["phase"] == [0.05, 0.45]
    page = Page((presence.SECTION,), {"communities": scans}, "t", "k", "h", (), (), ())
    figures = draw_figures(page)
    html = render_page(page, figures)
    assert html.count("<img") == 2
    assert html.count("Motion is not known") == 1
    assert "0.450" in html
    heights = [read_png_size(figures[one.figure])[1] for one in scans]
    assert heights[0] - heights[1] == TRACE + GAP


def test_without_communities_there_is_no_section(tmp_path: Path) -> None:
    assert presence.SECTION.gather(Written(tmp_path, Member("01", None, {}))) is None


def test_without_the_tables_of_the_group_there_is_no_section(output: Path) -> None:
    """The group level was stopped before it wrote them."""
    group_path(output, "atlas-fs86_desc-communities_communities.tsv").unlink()
    assert presence.SECTION.gather(Written(output, Member("01", None, {}))) is None


def test_presence_of_other_communities_than_those_of_the_group_is_left_out(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an earlier search with another number."""
    func = output / "sub-01" / "func"
    own = next(func.glob("*run-2*communities_timeseries.tsv"))
    write_table(own, {"C1": np.ones(N_VOLUMES)})
    scans = presence.list_presence(Written(output, Member("01", None, {})))
    assert [one.carpet.title for one in scans] == ["sub-01_task-rest_run-1_space-T1w"]
    assert "expected a column C2" in caplog.text


@pytest.mark.parametrize("place", [3, 30])
def test_motion_stands_over_the_volume_in_which_it_happened(place: int) -> None:
    still, moved = np.zeros((2, N_VOLUMES))
    still[place] = moved[place] = 1
    png = draw_presence(PresenceCarpet("run", ("C1",), still[:, None], moved))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"), float)
    height = read_png_size(png)[1]
    middle = round(len(picture) * 60 / height)  # of the trace, 40 to 96
    carpet = round(len(picture) * 117 / height)  # of the row below
    spike, dark = (
        np.flatnonzero(row < row.min() + 40).mean()
        for row in (picture[middle, 110:], picture[carpet, 110:])
    )
    assert spike == pytest.approx(dark, abs=picture.shape[1] / 1060 * 4)
