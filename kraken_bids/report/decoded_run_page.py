"""The page of one run whose volumes were decoded outside of a dataset."""

from pathlib import Path

from kraken_bids.report.freshness import digest_page
from kraken_bids.report.page import write_page
from kraken_bids.report.section import Notice, Page, Tile
from kraken_bids.report.sections import decoded_volumes
from kraken_bids.report.words import format_count, pick_noun


def draw_decoded_run(table: Path) -> Path:
    """Draw the page of a run beside its table of probabilities, with its figures in ``figures/``.

    It is the section of a participant's page, and what is to be known of the run; other runs in
    the folder have pages of their own.

    Returns
    -------
    Path
        ``<run>_desc-decode_report.html``.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    stem = table.name.removesuffix("_probabilities.tsv")
    page = build_run_page(table)
    path = table.with_name(f"{stem}_report.html")
    write_page(path, page, digest_page(page), table.parent / "figures" / f"{stem}_")
    return path


def build_run_page(table: Path) -> Page:
    """Gather the page of a run from its table of probabilities and the files beside it."""
    run = decoded_volumes.read_decoded_run(table)
    n_volumes, n_states = len(run.probabilities), len(run.states)
    return Page(
        (decoded_volumes.SECTION,),
        {decoded_volumes.SECTION.name: [run]},
        title=run.title,
        kicker="Report of decoded volumes",
        heading=run.title.replace("_", " "),
        under=(
            f"{run.facts.text('Architecture')} decoder, cleaning {run.facts.text('Cleaning')}",
        ),
        tiles=(
            Tile(format_count(n_volumes), pick_noun(n_volumes, "volume")),
            Tile(format_count(n_states), pick_noun(n_states, "state")),
        ),
        notices=[Notice("warning", note) for note in run.facts.texts("Notes")],
    )
