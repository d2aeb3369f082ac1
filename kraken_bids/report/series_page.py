"""The page of a folder that a pretraining, or a decoding, of region series has written."""

from pathlib import Path

from kraken_bids.report.freshness import digest_page
from kraken_bids.report.page import gather_sections, write_page
from kraken_bids.report.section import Page, Section, Tile
from kraken_bids.report.sections import (
    confusion,
    decoding_relevance,
    decoding_scores,
    series_curves,
    series_material,
    series_peers,
    volume_relevance,
)
from kraken_bids.report.sections.series_peers import FRAMEWORK_WORDS
from kraken_bids.report.words import format_count, pick_noun
from kraken_bids.report.written_series import WrittenSeries

OF_PRETRAINING: tuple[Section, ...] = (
    series_peers.SECTION,
    series_curves.SECTION,
    series_material.SECTION,
)
OF_DECODING: tuple[Section, ...] = (
    decoding_scores.SECTION,
    confusion.SECTION,
    decoding_relevance.SECTION,
    volume_relevance.SECTION,
    series_curves.SECTION,
    series_material.SECTION,
)
PAGE_NAME = "report.html"


def draw_series_page(folder: Path) -> Path:
    """Draw ``report.html`` of a folder, with its figures as PNG files beside; returns its path.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    page = build_series_page(WrittenSeries(folder))
    write_page(folder / PAGE_NAME, page, digest_page(page), folder / "report_")
    return folder / PAGE_NAME


def build_series_page(written: WrittenSeries) -> Page:
    """Gather the page of a pretraining or, where trials were decoded, of a decoding."""
    is_decoding = (written.output_dir / "scores.tsv").exists()
    framework = written.model.part("architecture").text("framework")
    sections = OF_DECODING if is_decoding else OF_PRETRAINING
    name = written.output_dir.resolve().name
    return Page(
        sections,
        gather_sections(sections, written),
        title=name,
        kicker="Decoding of mental states" if is_decoding else "Learning from region series",
        heading=name,
        under=(FRAMEWORK_WORDS.get(framework, framework),) if framework else (),
        tiles=_list_tiles(written),
        notices=(),
    )


def _list_tiles(written: WrittenSeries) -> list[Tile]:
    data, architecture = (written.model.part(name) for name in ("data", "architecture"))
    tiles = []
    for facts, key, noun in (
        (data, "n_subjects", "subject"),
        (data, "n_runs", "run"),
        (architecture, "n_regions", "region"),
        (architecture, "n_classes", "label"),
        (written.training, "Steps", "training step"),
    ):
        count = facts.count(key)
        if count:
            tiles.append(Tile(format_count(count), pick_noun(count, noun)))
    return tiles
