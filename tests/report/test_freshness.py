"""When a page is drawn again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.outputs import group_path, group_report_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.io.writing import write_text
from kraken_bids.report.contents import OF_GROUP
from kraken_bids.report.freshness import digest_cohort, digest_page, digest_subject, is_current
from kraken_bids.report.page import PageTask, draw_group, draw_subject
from kraken_bids.report.section import Page
from kraken_bids.report.written import Written
from kraken_bids.scores.motion_dependence import QcFc


@pytest.fixture
def page() -> Page:
    """Make a page with little on it."""
    effect = QcFc("x", 12, 12, 4, 0.1, 0.1, 0.05, 0.0, 0.0, np.arange(4.0), np.arange(4.0))
    data = {"motion": {"effects": (effect,), "n_with_motion": 12}}
    return Page(OF_GROUP, data, "Group", "report", "Group", (), tiles=(), notices=())


def make_task(output_dir: Path, *, always: bool = False) -> PageTask:
    """Make the task of the first person of a cohort."""
    member = list_members(output_dir)[0]
    path = output_dir / f"{member.label}.html"
    return PageTask(output_dir, member, path, digest_cohort(output_dir), "people", always)


def test_a_page_stays_until_what_it_shows_changes(output_dir: Path) -> None:
    """Drawn once; not again, even where files are written anew as they were; then again."""
    assert draw_subject(make_task(output_dir))
    first = make_task(output_dir).path.read_bytes()
    connectome = next((output_dir / "sub-01").glob("func/*_relmat.dense.tsv"))
    connectome.write_bytes(connectome.read_bytes())
    assert not draw_subject(make_task(output_dir))
    assert make_task(output_dir).path.read_bytes() == first
    assert draw_subject(make_task(output_dir, always=True))
    other = next((output_dir / "sub-02").glob("func/*_relmat.dense.tsv"))
    other.unlink()
    assert not draw_subject(make_task(output_dir))
    write_text(group_report_path(output_dir), "<title>Group</title>")  # linked from now on
    assert draw_subject(make_task(output_dir))
    connectome.unlink()
    assert draw_subject(make_task(output_dir))


def test_what_changes_a_participants_page(output_dir: Path) -> None:
    """Its files by name and content, the notices, the group's; not figures or half files."""
    write_text(group_path(output_dir, "latents.tsv"), "a\n")
    member = list_members(output_dir)[0]

    def digest() -> str:
        return digest_subject(Written(output_dir, member), digest_cohort(output_dir))

    seen = [digest()]
    for name in ("sub-01/figures/a.png", "sub-01/func/.half.tmp", "group/figures/b.png"):
        write_text(output_dir / name, "x")
        assert digest() == seen[0]
    for name in ("logs/sub-01_inputs.json", "sub-01/func/new.tsv", "group/latents.tsv"):
        write_text(output_dir / name, "{}")
        assert digest() not in seen
        seen.append(digest())


def test_figures_that_no_page_shows_are_removed(output_dir: Path, page: Page) -> None:
    """Those of earlier runs by their names; what somebody else has put there stays."""
    folder = output_dir / "sub-01" / "figures"
    old = ("sub-01_motion_task-movie.png", "sub-01_FCcorr_mine_hpf.png", "sub-01_coverage.png")
    foreign = ("sub-01_my-own.png", "sub-01_ses-2_motion_task-rest.png", "motion_x.png")
    for name in (*old, *foreign):
        write_text(folder / name, "x")
    draw_subject(make_task(output_dir, always=True))
    names = {path.name for path in folder.iterdir()}
    assert names >= {*foreign, "sub-01_FCcorr_fs86_hpf.png"}
    assert not names & set(old)

    folder = output_dir / "group" / "figures"
    for name in ("group_trust.png", "group_mine.png"):
        write_text(folder / name, "x")
    draw_group(output_dir, page)
    assert {path.name for path in folder.iterdir()} == {"group_qcfc.png", "group_mine.png"}


def test_the_date_alone_does_not_redraw_the_group(tmp_path: Path, page: Page) -> None:
    """A page of the same contents stays with the day on which it was drawn."""
    path = draw_group(tmp_path, page)
    first = path.read_text()
    draw_group(tmp_path, replace(page, created="tomorrow"))
    assert path.read_text() == first
    draw_group(tmp_path, replace(page, created="tomorrow"), always=True)
    assert "tomorrow" in path.read_text()
    figures = tmp_path / "group" / "figures" / "group_"
    assert is_current(path, digest_page(page), figures)
    assert not is_current(path, digest_page(replace(page, heading="Others")), figures)


def test_damaged_pages_and_figures_are_not_current(tmp_path: Path, page: Page) -> None:
    """A page that is cut, a figure beside it that is cut or gone: drawn again."""
    path = draw_group(tmp_path, page)
    figure = tmp_path / "group" / "figures" / "group_qcfc.png"
    whole, drawn = path.read_bytes(), figure.read_bytes()
    path.write_bytes(whole[:-100])
    draw_group(tmp_path, page)
    assert path.read_bytes() == whole
    figure.write_bytes(drawn[:100])
    draw_group(tmp_path, page)
    assert figure.read_bytes() == drawn
    figure.unlink()
    draw_group(tmp_path, page)
    assert figure.read_bytes() == drawn


def test_pages_of_others_are_never_current(tmp_path: Path, page: Page) -> None:
    """No page, and a page without a digest, are drawn."""
    digest = digest_page(page)
    assert not is_current(tmp_path / "none.html", digest, tmp_path)
    write_text(tmp_path / "group.html", "<html></html>")
    assert not is_current(tmp_path / "group.html", digest, tmp_path)
