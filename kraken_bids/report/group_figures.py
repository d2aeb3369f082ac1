"""Figures on the cohort: agreement of the modalities, adaptation fits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.pages import AdaptationFit, Floats
from kraken_bids.report.png import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 1060.0


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
    """PNG of how near each person's SC latent lies to their own FC latent and to others'.

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
        (own, theme.WARM, 1, "same person"),
        (others, theme.MUTED, -1, "different people"),
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


# ---------------------------------------------------------------- adaptation


def draw_adaptation(fits: Sequence[AdaptationFit]) -> bytes:
    """PNG of small multiples: training mean against cohort mean, and the fitted line."""
    drawn = [fit for fit in fits if fit.new_mean is not None and fit.training_mean is not None]
    per_row = 4
    n_rows = -(-len(drawn) // per_row)
    left_margin, width, height = 62.0, 250.0, 222.0
    figure = theme.new_figure(
        left_margin + width * min(per_row, len(drawn)), 28 + height * n_rows, scale=1.6
    )
    for i, fit in enumerate(drawn):
        left, top = left_margin + width * (i % per_row), 40 + height * (i // per_row)
        _draw_fit(theme.add_box(figure, left, top, width - 56, height - 84), fit)
    full = theme.add_box(
        figure, 0, 0, left_margin + width * min(per_row, len(drawn)), 28 + height * n_rows
    )
    full.set_axis_off()
    full.patch.set_visible(False)
    style = {"transform": full.transAxes, "color": theme.MUTED}
    theme.add_text(full, 0.5, 0.004, "mean of this cohort", ha="center", va="bottom", **style)
    theme.add_text(
        full, 0.002, 0.5, "mean of the training data", rotation=90, va="center", **style
    )
    return draw_png(figure)


def _draw_fit(axes: "Axes", fit: AdaptationFit) -> None:
    theme.style_axes(axes, grid="")
    axes.locator_params(nbins=4)
    name, numbers = fit.flavor, _numbers(fit)
    theme.add_text(
        axes, 0, 1.17, name, transform=axes.transAxes, fontsize=theme.SMALL, weight="bold"
    )
    theme.add_text(
        axes,
        0,
        1.04,
        numbers,
        transform=axes.transAxes,
        fontsize=theme.SMALL,
        color=theme.MUTED,
    )
    x, y = np.asarray(fit.new_mean, dtype=float), np.asarray(fit.training_mean, dtype=float)
    logarithmic = fit.flavor.startswith("SC")
    use = np.isfinite(x) & np.isfinite(y) & ((x > 0) & (y > 0) if logarithmic else True)
    x, y = x[use], y[use]
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        theme.add_text(
            axes,
            0.5,
            0.5,
            "nothing to fit",
            transform=axes.transAxes,
            ha="center",
            color=theme.MUTED,
        )
        return
    edges_x, edges_y = (_bins(v, logarithmic=logarithmic) for v in (x, y))
    counts = np.histogram2d(x, y, (edges_x, edges_y))[0].T
    axes.pcolormesh(
        edges_x,
        edges_y,
        np.ma.masked_equal(counts, 0),
        norm=LogNorm(1, max(counts.max(), 2)),
        cmap=theme.sequential_colours(),
    )
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        axes.minorticks_off()
    if fit.b0 is not None and fit.b1 is not None:
        line = edges_x
        axes.plot(
            line,
            _positive(fit.b0 * line + fit.b1, needed=logarithmic),
            color=theme.WARM,
            linewidth=1.4,
        )
    axes.set(xlim=(edges_x[0], edges_x[-1]), ylim=(edges_y[0], edges_y[-1]))


def _bins(values: Floats, *, logarithmic: bool) -> Floats:
    low, high = np.percentile(values, [1 if logarithmic else 0.1, 99.95 if logarithmic else 99.9])
    high = high if high > low else low + abs(low) + 1e-9
    return np.geomspace(low, high, 61) if logarithmic else np.linspace(low, high, 61)


def _positive(values: Floats, *, needed: bool) -> Floats:
    return np.where(values > 0, values, np.nan) if needed else values


def _signed(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _numbers(fit: AdaptationFit) -> str:
    if fit.b0 is None or fit.b1 is None:
        return fit.mode
    r2 = "–" if fit.r2 is None else f"{fit.r2:.2f}"
    return f"b0 {fit.b0:.2f}   b1 {fit.b1:.2g}   R² {r2}".replace("-", "−")
