"""Dynamic communities: where they lie, how sure they are, and when they are present."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CLEANED, group_path, sidecar_path
from kraken_bids.cohort.sidecar_records import ORIGIN
from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.report import theme
from kraken_bids.report.presence_carpet import PresenceCarpet, draw_presence
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.sections.presence import is_outdated, read_carpet
from kraken_bids.report.written import Columns, read_or_none
from kraken_bids.report.written_group import WrittenGroup

MAX_SCANS = 4
"""Carpets that are shown; those of every scan are on the pages of participants."""
SIZE = 1060.0, 300.0
MAX_RESPONSES, PER_ROW = 8, 4
OF_COMMUNITIES = (
    *("n_regions", "stability", "mean_presence", "swing", "n_scans"),
    *("n_beyond_phase", "n_beyond_shuffle"),
)
OF_METHODS = ("n_communities", "modularity", "rand_index")
OF_AGREEMENT = ("mutual_information", "rand_index", "n_regions")
OF_EVENTS = ("lag", "presence", "low", "high", "p", "n_events")
"""Columns of numbers of the group's tables."""


@dataclass(frozen=True)
class Response:
    """Presence of one community around the events of one kind."""

    trial_type: str
    community: str
    lags: Floats
    mean: Floats
    low: Floats
    high: Floats
    p: float
    n_events: int


@dataclass(frozen=True)
class ShownScan:
    """Presence in one scan, and where that of the participant's others is."""

    carpet: PresenceCarpet
    href: str
    """Address of the participant's page."""
    is_outdated: bool
    """Whether the region series are others now than those that were searched."""


@dataclass(frozen=True)
class AtlasCommunities:
    """Communities of the series of one atlas."""

    atlas: str
    rows: Sequence[Mapping[str, object]]
    """One per community that some region is in."""
    methods: Sequence[Mapping[str, object]]
    """Modularity of every method's partition."""
    stability: float
    n_scans: int
    labels: tuple[str, ...]
    """Community of each region."""
    centres: Floats
    """[n_regions, 3], MNI mm; empty where not known."""
    scans: Sequence[ShownScan]
    agreement: Sequence[Mapping[str, object]]
    """Of communities of different data, pair by pair."""
    responses: Sequence[Response]
    """Presence around events."""


def gather(group: WrittenGroup) -> list[AtlasCommunities] | None:
    """Read what the group level has written of each atlas; None where it has not."""
    found = []
    folder = group_path(group.output_dir, "x").parent
    for path in sorted(folder.glob("atlas-*_desc-communities_metrics.tsv")):
        own = read_or_none(partial(_read, group, path))
        if own is not None:
            found.append(own)
    return found or None


def _read(group: WrittenGroup, metrics: Path) -> AtlasCommunities:
    atlas = metrics.name.removeprefix("atlas-").partition("_")[0]
    place = {
        name: metrics.with_name(metrics.name.replace("_metrics", f"_{name}"))
        for name in ("communities", "dseg", "history", "agreement", "events")
    }
    facts = read_facts(sidecar_path(place["history"]))
    labels = tuple(map(str, read_table(place["dseg"], texts=("community",))["community"]))
    table = read_table(place["communities"], numbers=OF_COMMUNITIES, texts=("community",))
    rows = [row for row in _list_rows(table) if row["n_regions"]]
    names = tuple(str(row["community"]) for row in rows)
    centres = load_centres(atlas)
    lacking = set(facts.texts("SourcesNotWritten"))
    scans = [one for one in facts.texts(ORIGIN.sources) if one not in lacking]
    return AtlasCommunities(
        atlas,
        rows,
        _list_rows(read_table(metrics, numbers=OF_METHODS, texts=("method",))),
        facts.number("Stability") or 0.0,
        len(scans),
        labels,
        centres if len(centres) == len(labels) else centres[:0],
        _read_scans(group, scans, names),
        _read_agreement(place["agreement"]),
        _read_responses(place["events"]),
    )


def _read_agreement(path: Path) -> list[dict[str, object]]:
    if not path.exists():
        return []
    return _list_rows(read_table(path, numbers=OF_AGREEMENT, texts=("one", "other")))


def _read_responses(path: Path) -> list[Response]:
    """Responses to each kind of events, the surest first."""
    if not path.exists():
        return []
    columns = read_table(path, numbers=OF_EVENTS, texts=("trial_type", "community"))
    pairs = list(zip(columns["trial_type"], columns["community"], strict=True))
    found = []
    for pair in dict.fromkeys(pairs):
        rows = [k for k, own in enumerate(pairs) if own == pair]
        lags, mean, low, high = (
            columns[name][rows] for name in ("lag", "presence", "low", "high")
        )
        p, n = float(columns["p"][rows[0]]), int(columns["n_events"][rows[0]])
        found.append(Response(str(pair[0]), str(pair[1]), lags, mean, low, high, p, n))
    return sorted(found, key=lambda one: one.p)


def _read_scans(
    group: WrittenGroup, series: Sequence[str], names: tuple[str, ...]
) -> list[ShownScan]:
    """Presence in the first scans; the pages of their participants show the others."""
    found = []
    for source in series[:MAX_SCANS]:
        own = parse_name(source)
        place = group.output_dir / source.removeprefix("bids::")
        path = place.with_name(place.name.replace(f"_desc-{CLEANED}_", "_desc-communities_"))
        carpet = read_or_none(partial(read_carpet, path, names)) if path.exists() else None
        label = "_".join(f"{key}-{own[key]}" for key in ("sub", "ses") if key in own)
        if carpet is not None:
            found.append(ShownScan(carpet, group.pages.get(label, ""), is_outdated(path)))
    return found


def _list_rows(columns: Columns) -> list[dict[str, object]]:
    n_rows = len(next(iter(columns.values())))
    return [{name: own[k] for name, own in columns.items()} for k in range(n_rows)]


def draw(found: Sequence[AtlasCommunities]) -> dict[str, bytes]:
    """Draw the regions of each atlas in a glass brain, and presence in the first scans."""
    pictures = {}
    for one in found:
        if len(one.centres):
            pictures[f"communities_{one.atlas}_brain"] = draw_regions(one)
        if one.responses:
            pictures[f"communities_{one.atlas}_events"] = draw_responses(one.responses)
        for k, scan in enumerate(one.scans, start=1):
            pictures[f"communities_{one.atlas}_{k}"] = draw_presence(scan.carpet)
    return pictures


def draw_regions(found: AtlasCommunities) -> bytes:
    """PNG of the regions at their places, coloured by community."""
    theme.prepare_matplotlib()
    figure = theme.new_figure(*SIZE, scale=1.5)
    names = [str(row["community"]) for row in found.rows]
    chosen = [k for k, label in enumerate(found.labels) if label in names]
    colours = theme.colors.ListedColormap(pick_colours(len(names)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a change of matplotlib's backend, which is not used
        from nilearn.plotting import plot_markers

        plot_markers(
            [names.index(found.labels[k]) for k in chosen],
            found.centres[chosen],
            figure=figure,
            axes=(0, 0.02, 0.88, 0.96),
            display_mode="lzry",
            node_size=28,
            node_cmap=colours,
            node_vmin=-0.5,
            node_vmax=len(names) - 0.5,
            colorbar=False,
        )
    width, height = SIZE
    axes = theme.add_box(figure, 0.9 * width, 0.06 * height, 0.09 * width, 0.88 * height)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(max(len(names), 10), 0))
    for k, name in enumerate(names):
        axes.scatter([0.1], [k + 0.5], s=22, color=colours(k))
        theme.add_text(axes, 0.25, k + 0.5, name, va="center", fontsize=theme.SMALL)
    return theme.draw_png(figure)


def draw_responses(responses: Sequence[Response]) -> bytes:
    """PNG of small plots: presence around events, and the range of events at random times."""
    shown = responses[:MAX_RESPONSES]
    n_rows = -(-len(shown) // PER_ROW)
    figure = theme.new_figure(PER_ROW * 260 + 60, n_rows * 190 + 40, scale=1.5)
    for k, one in enumerate(shown):
        row, place = divmod(k, PER_ROW)
        axes = theme.add_box(figure, 60 + place * 260, 40 + row * 190, 190, 120)
        axes.fill_between(one.lags, one.low, one.high, color=theme.LINE, linewidth=0)
        axes.plot(one.lags, one.mean, color=theme.WARM, linewidth=1.6)
        axes.axvline(0, color=theme.MUTED, linewidth=0.8)
        theme.style_axes(axes, x_label="s after the event")
        title, numbers = f"{one.trial_type}, {one.community}", f"p {one.p:.3f}"
        theme.add_title(axes, title, f"{numbers}, {one.n_events} events", top=1.16)
    return theme.draw_png(figure)


def pick_colours(n_colours: int) -> list[tuple[float, float, float]]:
    """Colours around the circle, neighbours far apart in it."""
    step = 0.618034
    return [
        tuple(theme.colors.hsv_to_rgb(((k * step) % 1, 0.65, 0.62 + 0.25 * (k % 2))))
        for k in range(n_colours)
    ]


SECTION = Section(
    "communities",
    "Communities",
    "communities.html",
    gather,
    heading="Communities that come and go",
    draw=draw,
    figures=("communities_",),
)
