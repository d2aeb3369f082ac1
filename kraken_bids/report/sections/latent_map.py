"""Where subjects lie: fusion latents on two components, and whether FC and SC agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.latent_tables import stack_latents
from kraken_bids.report import theme
from kraken_bids.report.colouring import Colouring, choose_colouring
from kraken_bids.report.regions import shorten
from kraken_bids.report.section import Booleans, Floats, Section
from kraken_bids.report.sections.outlier_table import list_outliers
from kraken_bids.report.sections.subject_table import read_subject_table
from kraken_bids.report.theme import draw_png
from kraken_bids.report.written_group import WHOSE, WrittenGroup, label_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MAX_LABELS = 40
"""Above this many participants only outliers carry their label."""
UNKNOWN = "#c3cad1"
PER_ROW = 4
MAX_LETTERS = 12
"""Of a category's name in the legend, where so many stand in a row."""


@dataclass(frozen=True)
class Latents:
    """Latent vectors of the cohort, one row per participant and session."""

    labels: tuple[str, ...]
    fusion: Floats
    """[n, n_latent]."""
    outliers: Booleans
    """[n]."""
    fc: Floats | None = None
    """fusionFC latents [n, n_latent]; NaN rows where there is no FC."""
    sc: Floats | None = None
    """fusionSC latents [n, n_latent]; NaN rows where there is no SC."""
    colouring: Colouring | None = None


def read_latents(group: WrittenGroup) -> Latents | None:
    """Read ``group/latents.tsv``; None where it is not there, or damaged."""
    columns = group.read_table("latents.tsv", numbers=("z000",), texts=(*WHOSE, "source"))
    if not columns:
        return None
    values = stack_latents(columns)
    labels = label_rows(columns)
    outliers = {row["label"] for row in group.once(list_outliers)["rows"]}
    names, facts, _ = group.once(read_subject_table)
    places = {label: row for row, label in enumerate(dict.fromkeys(labels))}

    def rows_of(source: str) -> NDArray[np.float64]:
        table = np.full((len(places), values.shape[1]), np.nan)
        for k in np.flatnonzero(columns["source"] == source):
            table[places[labels[k]]] = values[k]
        return table

    return Latents(
        labels=tuple(places),
        fusion=rows_of("fusion"),
        outliers=np.array([label in outliers for label in places]),
        fc=rows_of("fusionFC") if "fusionFC" in columns["source"] else None,
        sc=rows_of("fusionSC") if "fusionSC" in columns["source"] else None,
        colouring=choose_colouring(tuple(places), names, facts),
    )


def compute_components(latents: Floats) -> tuple[Floats, Floats]:
    """First two principal components of the rows [n, 2], and the share of variance of each [2]."""
    centred = np.asarray(latents, dtype=float) - np.mean(latents, axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    if len(singular) < 2:
        return np.zeros((len(centred), 2)), np.zeros(2)
    total = float((singular**2).sum()) or 1.0
    return left[:, :2] * singular[:2], singular[:2] ** 2 / total


def draw_latents(latents: Latents) -> bytes:
    """PNG of the fusion latents on their first two principal components, outliers marked."""
    points, share = compute_components(latents.fusion)
    colouring = latents.colouring
    is_numeric = colouring is not None and colouring.is_numeric
    figure = theme.new_figure(520, 430)
    top = 14
    if colouring is not None and not is_numeric:
        top = 30 + 15 * -(-(len(colouring.categories) + ("" in colouring.values)) // PER_ROW)
    axes = theme.add_box(figure, 66, top, 360 if is_numeric else 440, 376 - top)
    names = [f"component {i + 1} ({100 * s:.0f} % of variance)" for i, s in enumerate(share)]
    theme.style_axes(axes, x_label=names[0], y_label=names[1], grid="both")
    axes.margins(0.12)
    colours = np.tile(theme.colors.to_rgba(theme.ACCENT), (len(points), 1))
    if colouring is not None and is_numeric:
        colours = _draw_bar(axes, theme.add_box(figure, 440, top, 12, 376 - top), colouring)
    elif colouring is not None:
        colours = _draw_legend(axes, colouring)
    outliers = np.asarray(latents.outliers, dtype=bool)
    for rows, style in (
        (~outliers, {"s": 30, "alpha": 0.85, "linewidth": 0}),
        (outliers, {"s": 52, "marker": "D", "edgecolor": theme.WARM, "linewidth": 1.6}),
    ):
        axes.scatter(points[rows, 0], points[rows, 1], color=colours[rows], **style)
    _name_points(axes, points, latents.labels, outliers)
    return draw_png(figure)


def _name_points(
    axes: "Axes", points: Floats, labels: Sequence[str], outliers: NDArray[np.bool_]
) -> None:
    for label, (x, y), outlier in zip(labels, points, outliers, strict=True):
        if len(points) <= MAX_LABELS or outlier:
            style: dict[str, Any] = {"fontsize": theme.SMALL - 1, "parse_math": False}
            style["color"] = theme.WARM if outlier else theme.MUTED
            axes.annotate(label, (x, y), (5, 4), textcoords="offset points", **style)


def _draw_bar(axes: "Axes", box: "Axes", colouring: Colouring) -> NDArray[np.float64]:
    """Draw the scale of a column of numbers; returns everyone's colour [n, 4]."""
    numbers = np.array([float(v) if v else np.nan for v in colouring.values])
    colours = theme.number_colours()
    lowest = float(np.nanmin(numbers))
    norm = theme.colors.Normalize(lowest, float(np.nanmax(numbers)))
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(theme.cm.ScalarMappable(norm, colours), cax=box)
    bar.outline.set_visible(False)
    box.tick_params(colors=theme.MUTED, labelsize=theme.SMALL, length=3, width=0.6)
    box.set_ylabel(colouring.column, fontsize=theme.NORMAL, color=theme.MUTED, parse_math=False)
    known = colours(norm(np.nan_to_num(numbers, nan=lowest)))
    return np.where(np.isnan(numbers)[:, None], theme.colors.to_rgba(UNKNOWN), known)


def _draw_legend(axes: "Axes", colouring: Colouring) -> NDArray[np.float64]:
    """Draw the legend of a column of categories; returns everyone's colour [n, 4]."""
    names = colouring.categories
    colour_of = dict(zip(names, theme.CATEGORY_COLOURS, strict=False)) | {"": UNKNOWN}
    shown = [*names, ""] if "" in colouring.values else names
    style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5.5}
    handles = [theme.lines.Line2D([], [], color=colour_of[name], **style) for name in shown]
    legend = axes.legend(
        handles,
        [shorten(name, MAX_LETTERS) if name else "not known" for name in shown],
        title=colouring.column,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=PER_ROW,
        frameon=False,
        fontsize=theme.SMALL,
        title_fontsize=theme.SMALL,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.1,
        alignment="left",
    )
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)
        text.set_color(theme.TEXT)
    return np.array([theme.colors.to_rgba(colour_of[value]) for value in colouring.values])


def compute_agreement(fc: Floats, sc: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Cosine similarity of everyone's SC latent with everyone's FC latent.

    Parameters
    ----------
    fc, sc : array [n, n_latent]
        NaN rows where a participant lacks the modality.

    Returns
    -------
    similarity : array [n_both, n_both]
        SC latents in rows, FC latents in columns.
    both : int array [n_both]
        Rows of those who have both.
    """
    both = np.flatnonzero(np.isfinite(fc).all(axis=1) & np.isfinite(sc).all(axis=1))
    rows, columns = sc[both], fc[both]
    length = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(columns, axis=1)[None]
    return rows @ columns.T / np.maximum(length, 1e-12), both


def draw_agreement(similarity: Floats) -> bytes:
    """PNG of how near each subject's SC latent lies to their own FC latent and to others'.

    Parameters
    ----------
    similarity : array [n, n]
        From :func:`compute_agreement`; n at least 2.
    """
    figure = theme.new_figure(520, 430)
    axes = theme.add_box(figure, 44, 14, 462, 362)
    theme.style_axes(axes, x_label="cosine similarity of SC latent and FC latent")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    own = np.diag(similarity)
    others = similarity[~np.eye(len(similarity), dtype=bool)]
    low, high = float(similarity.min()), float(similarity.max())
    bins = np.linspace(low, high if high > low else low + 1e-6, 31)
    for values, colour, side, name in (
        (own, theme.WARM, 1, "same subject"),
        (others, theme.MUTED, -1, "different subjects"),
    ):
        heights = np.histogram(values, bins)[0] / max(len(values), 1)
        heights = side * heights / max(heights.max(), 1e-9)
        axes.bar(
            bins[:-1],
            heights,
            width=np.diff(bins),
            align="edge",
            color=colour,
            alpha=0.85,
            linewidth=0,
        )
        label = f"{name}  (mean {_signed(values.mean())})"
        style = {"transform": axes.transAxes, "color": colour, "va": "center", "zorder": 5}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
        theme.add_text(axes, 0.01, 0.5 + 0.46 * side, label, **style)
        axes.plot([values.mean()] * 2, [0, side * 1.04], color=theme.TEXT, linewidth=1)
    axes.axhline(0, color=theme.TEXT, linewidth=0.7)
    axes.set_ylim(-1.15, 1.15)
    return draw_png(figure)


def _signed(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def draw(latents: Latents | None) -> dict[str, bytes]:
    """Draw the map of two subjects and more, and the agreement of their latents."""
    if latents is None or len(latents.labels) < 2:
        return {}
    figures = {"latents": draw_latents(latents)}
    if latents.fc is not None and latents.sc is not None:
        fc, sc = np.asarray(latents.fc, float), np.asarray(latents.sc, float)
        similarity, both = compute_agreement(fc, sc)
        figures |= {"agreement": draw_agreement(similarity)} if len(both) > 1 else {}
    return figures


SECTION = Section(
    "latents",
    "Latents",
    "latent_map.html",
    lambda group: {"latents": read_latents(group)},
    draw=lambda data: draw(data["latents"]),
    figures=("latents", "agreement"),
    words={"max_labels": MAX_LABELS},
)
