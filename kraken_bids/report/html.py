"""Self-contained HTML pages: one file each, no script, nothing fetched when it is opened."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from kraken_bids.report import figures as names
from kraken_bids.report import sentences
from kraken_bids.report.group_figures import MAX_LABELS
from kraken_bids.report.pages import Coverage, Group, GroupPage, ParticipantPage
from kraken_bids.report.png import read_png_size
from kraken_bids.report.trust_figures import MAX_ROWS

DASH = "–"
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
        sources=_list_sources(page),
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
            Tile(f"{kept:.1f} min", "of BOLD used", f"of {total:.1f}, {_plural(len(runs), 'run')}")
        )
    else:
        tiles.append(Tile("none", "of BOLD used", _explain_none(page, "FC", "functional")))
    streamlines = sum(row.n_streamlines for row in page.tractograms)
    if streamlines:
        detail = f"in {_plural(len(page.tractograms), 'tractogram')}"
        tiles.append(Tile(_count(streamlines), "streamlines", detail))
    else:
        tiles.append(Tile("none", "streamlines", _explain_none(page, "SC", "structural")))
    measured = sum(panel.measured is not None for panel in page.flavors)
    predicted = sum(bool(panel.predictions) for panel in page.flavors)
    tiles.append(Tile(f"{measured} of {len(page.flavors)}", "flavors measured"))
    tiles.append(Tile(f"{predicted} of {len(page.flavors)}", "flavors predicted"))
    fitted = [fit.n_subjects for fit in page.adaptation if fit.n_subjects and fit.mode != "none"]
    if fitted:
        tiles.append(Tile("adapted", "to the training data", f"fitted on {max(fitted)} people"))
    elif predicted:
        tiles.append(Tile("not adapted", "to the training data"))
    return tiles


def _explain_none(page: ParticipantPage, group: Group, kind: str) -> str:
    """Why no run, or no tractogram, stands behind the page."""
    is_measured = any(f.group == group and f.measured is not None for f in page.flavors)
    return "measured elsewhere" if is_measured else f"no {kind} input"


def _group_tiles(page: GroupPage) -> list[Tile]:
    tiles = [Tile(str(page.n_participants), _noun(page.n_participants, "participant"))]
    if page.n_sessions != page.n_participants:
        tiles.append(Tile(str(page.n_sessions), _noun(page.n_sessions, "session")))
    if page.identifiability is not None:
        chance = sentences.chance_rank(page.identifiability.n_participants)
        for source, target in (("SC", "FC"), ("FC", "SC")):
            rank = sentences.compute_direction(page.identifiability, source, target)
            if rank is not None:
                label = f"average rank, {source}\u00a0→\u00a0{target}"
                tiles.append(Tile(f"{rank[0]:.2f}", label, f"chance is {chance:.2f}"))
    tiles.append(Tile(str(len(page.outliers)), _noun(len(page.outliers), "outlier")))
    flagged = sum(bool(row.flags) for row in page.quality)
    tiles.append(Tile(str(flagged), "flagged in quality control", f"of {len(page.quality)}"))
    return tiles


def _list_sources(page: ParticipantPage) -> tuple[str, ...]:
    """List the sources that were scored: the fusions across modalities first."""
    scored = (p for f in page.flavors for p in f.predictions if p.correlation is not None)
    order = {"fusionSC": 0, "fusionFC": 1, "fusion": 2}
    return tuple(
        sorted(dict.fromkeys(p.source for p in scored), key=lambda name: order.get(name, 3))
    )


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
        number=_number,
        fixed=_fixed,
        significant=_significant,
        share=_share,
        count=_count,
        href=_quote_href,
        weblink=_is_weblink,
        spaced=_spaced,
        breakable=_breakable,
    )
    environment.globals.update(
        names=names,
        plural=_plural,
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


def _number(value: float | None, digits: int = 2) -> str:
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    text = f"{value:.3g}" if size >= 1e5 or 0 < size < 10.0**-digits else f"{value:.{digits}f}"
    return text.replace("-", "−")


def _fixed(value: float | None, digits: int = 2) -> str:
    """Write a number of a bounded scale: the same digits for all, and no minus before zero."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:z.{digits}f}".replace("-", "−")


def _significant(value: float | None) -> str:
    return (
        DASH
        if value is None or not math.isfinite(value)
        else f"{value:#.3g}".rstrip(".").replace("-", "−")
    )


def _share(value: float | None) -> str:
    return DASH if value is None else sentences.format_share(value)


def _count(value: int | None) -> str:
    """Whole number with thin spaces between thousands, which do not break."""
    return DASH if value is None else f"{value:,}".replace(",", "\u202f")


def _plural(count: int, noun: str) -> str:
    return f"{_count(count)} {_noun(count, noun)}"


def _noun(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _quote_href(path: str) -> str:
    """Relative address: spaces and ``:`` quoted, so that no path reads as a scheme."""
    return quote(path, safe="/.~+,=@")


def _is_weblink(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _breakable(text: str) -> Markup:
    """Name that may be broken after ``_`` and ``/``; escaped first."""
    escaped = str(escape(text))
    return Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))  # noqa: S704  escaped above


def _spaced(items: Sequence[str]) -> str:
    return ", ".join(items)
