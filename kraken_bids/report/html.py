"""Self-contained HTML pages: one file each, nothing fetched; the group's sorts its tables."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from kraken_bids.report import figures as names
from kraken_bids.report import sentences
from kraken_bids.report.cells import colour_cells
from kraken_bids.report.formats import (
    count_noun,
    format_count,
    format_fixed,
    format_known_share,
    format_number,
    format_significant,
    is_weblink,
    join_words,
    make_breakable,
    pick_noun,
    quote_href,
)
from kraken_bids.report.latent_figures import MAX_LABELS
from kraken_bids.report.pages import (
    FAILED,
    GOOD,
    LOOK,
    NOT_JUDGED,
    VERDICTS,
    Coverage,
    FlavorPanel,
    Group,
    GroupPage,
    ParticipantPage,
    Prediction,
)
from kraken_bids.report.png import read_png_size
from kraken_bids.report.trust_figures import MAX_ROWS

WORST_REGIONS = 8
"""Rows of the table of poorly covered regions, per space and parcellation."""


@dataclass(frozen=True)
class Image:
    """One figure as it stands in a page."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Tile:
    """One key number at the top of a page."""

    value: str
    label: str
    detail: str = ""
    mark: str = ""
    """Class of its colour."""


def render_participant(
    page: ParticipantPage, figures: Mapping[str, bytes], *, digest: str = ""
) -> str:
    """HTML of one participant's page.

    Parameters
    ----------
    page : ParticipantPage
        What to show.
    figures : mapping of str to bytes
        PNG files from :func:`~kraken_bids.report.figures.participant_figures`; one that is absent
        leaves its place empty.
    digest : str, optional
        Of what the page shows; kept in its head.
    """
    template = _environment().get_template("participant.html")
    return template.render(
        page=page,
        digest=digest,
        images=_embed({**figures, **{row.name: row.png for row in page.registration}}),
        tiles=_participant_tiles(page),
        predictions=(predictions := _list_predictions(page)),
        columns=tuple(dict.fromkeys(name for _, own in predictions for name in own)),
        has_structure=any(row.length_counts or row.network for row in page.tractograms),
        worst=[(entry, _worst_regions(entry)) for entry in page.coverage],
        adaptation_modes=_adaptation_words(page),
        parcellations=tuple(dict.fromkeys(panel.parcellation for panel in page.flavors)),
    )


def render_group(page: GroupPage, figures: Mapping[str, bytes], *, digest: str = "") -> str:
    """HTML of the cohort's page.

    Parameters
    ----------
    page : GroupPage
        What to show.
    figures : mapping of str to bytes
        PNG files from :func:`~kraken_bids.report.figures.group_figures`.
    digest : str, optional
        Of what the page shows; kept in its head.
    """
    template = _environment().get_template("group.html")
    return template.render(
        page=page,
        digest=digest,
        images=_embed(figures),
        tiles=_group_tiles(page),
        adaptation_modes=_adaptation_words(page),
        verdicts=VERDICTS,
        cells={column: colour_cells(page.people, column) for column in page.columns},
        max_labels=MAX_LABELS,
        max_trust_rows=MAX_ROWS,
    )


# ---------------------------------------------------------------- what templates are given


def _participant_tiles(page: ParticipantPage) -> list[Tile]:
    tiles = []
    by_space: dict[str, list[tuple[float, float]]] = {}
    for run in page.runs:
        by_space.setdefault(run.space, []).append((run.minutes_kept, run.minutes))
    if by_space:
        runs = max(by_space.values(), key=len)
        kept, total = np.sum(runs, axis=0)
        tiles.append(
            Tile(
                f"{kept:.1f} min",
                "of BOLD used",
                f"of {total:.1f}, {count_noun(len(runs), 'run')}",
            )
        )
    else:
        tiles.append(Tile("none", "of BOLD used", _explain_none(page, "FC", "functional")))
    streamlines = sum(row.n_streamlines for row in page.tractograms)
    if streamlines:
        detail = f"in {count_noun(len(page.tractograms), 'tractogram')}"
        tiles.append(Tile(format_count(streamlines), "streamlines", detail))
    else:
        tiles.append(Tile("none", "streamlines", _explain_none(page, "SC", "structural")))
    tiles[:0] = _describe_verdict(page)
    measured = sum(panel.measured is not None for panel in page.flavors)
    predicted = sum(bool(panel.predictions) for panel in page.flavors)
    others = (page.n_connectomes or 0) - measured
    detail = f"and {others} that the model does not know" if others > 0 and predicted else ""
    tiles.append(Tile(f"{measured} of {len(page.flavors)}", "flavors measured", detail))
    tiles.append(Tile(f"{predicted} of {len(page.flavors)}", "flavors predicted"))
    fitted = [fit.n_subjects for fit in page.adaptation if fit.n_subjects and fit.mode != "none"]
    if fitted:
        tiles.append(Tile("adapted", "to the training data", f"fitted on {max(fitted)} people"))
    elif predicted:
        tiles.append(Tile("not adapted", "to the training data"))
    return tiles


def _describe_verdict(page: ParticipantPage) -> list[Tile]:
    """Say what the group's page says of this participant."""
    if page.person is None:
        return []
    verdict, n_reasons = page.person.verdict, len(page.person.reasons)
    detail = count_noun(n_reasons, "reason") if n_reasons else "compared with the group"
    return [Tile(verdict, "verdict", detail, verdict.replace(" ", "-"))]


def _explain_none(page: ParticipantPage, group: Group, kind: str) -> str:
    """Why no run, or no tractogram, stands behind the page."""
    is_measured = any(f.group == group and f.measured is not None for f in page.flavors)
    return "measured elsewhere" if is_measured else f"no {kind} input"


def _group_tiles(page: GroupPage) -> list[Tile]:
    tiles = [Tile(str(page.n_participants), pick_noun(page.n_participants, "participant"))]
    if page.n_sessions != page.n_participants:
        tiles.append(Tile(str(page.n_sessions), pick_noun(page.n_sessions, "session")))
    for verdict in (GOOD, LOOK, FAILED, NOT_JUDGED):
        count = page.count_people(verdict)
        if count or verdict in {GOOD, LOOK, FAILED}:
            tiles.append(Tile(str(count), verdict, mark=verdict.replace(" ", "-")))
    if page.identifiability is not None:
        chance = sentences.chance_rank(page.identifiability.n_participants)
        for source, target in (("SC", "FC"), ("FC", "SC")):
            rank = sentences.compute_direction(page.identifiability, source, target)
            if rank is not None:
                label = f"average rank, {source}\u00a0→\u00a0{target}"
                tiles.append(Tile(f"{rank[0]:.2f}", label, f"chance is {chance:.2f}"))
    return tiles


def _list_predictions(page: ParticipantPage) -> list[tuple[FlavorPanel, dict[str, Prediction]]]:
    """List the predictions of every flavor by the column that they stand in."""
    return [
        (panel, {_name_column(panel, one.source): one for one in panel.predictions})
        for panel in page.flavors
        if panel.predictions
    ]


def _name_column(panel: FlavorPanel, source: str) -> str:
    """Name the column of a prediction: those across modalities share one."""
    is_across = source == {"FC": "fusionSC", "SC": "fusionFC"}[panel.group]
    words = sentences.explain_source(source).replace("Predicted f", "f")
    return "from the other modality alone" if is_across else words


def _worst_regions(coverage: Coverage) -> list[tuple[str, float]]:
    """Regions below the threshold, lowest first, with their share."""
    share = np.nan_to_num(np.asarray(coverage.share, dtype=float))
    low = [i for i in np.argsort(share, kind="stable") if share[i] < coverage.threshold]
    return [(coverage.region_names[i], float(share[i])) for i in low]


def _adaptation_words(page: ParticipantPage | GroupPage) -> list[tuple[str, str]]:
    modes = dict.fromkeys(fit.mode for fit in page.adaptation)
    return [(mode, sentences.explain_adaptation(mode)) for mode in modes]


def _embed(figures: Mapping[str, bytes]) -> dict[str, Image]:
    return {
        name: Image(f"data:image/png;base64,{b64encode(png).decode()}", *read_png_size(png))
        for name, png in figures.items()
    }


# ---------------------------------------------------------------- words and numbers in templates


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kraken_bids.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number,
        fixed=format_fixed,
        significant=format_significant,
        share=format_known_share,
        count=format_count,
        href=quote_href,
        weblink=is_weblink,
        spaced=join_words,
        breakable=make_breakable,
    )
    environment.globals.update(
        names=names,
        plural=count_noun,
        worst_regions=WORST_REGIONS,
        explain_cells=sentences.explain_cells,
        explain_circle=sentences.explain_circle,
        explain_source=sentences.explain_source,
        chance_rank=sentences.chance_rank,
        explain_chance=sentences.explain_chance,
        summarize_identifiability=sentences.summarize_identifiability,
        summarize_motion_effects=sentences.summarize_motion_effects,
    )
    return environment
