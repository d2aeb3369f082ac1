"""Figures on the quality of one participant's data: head motion and coverage."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from kraken_bids.report import theme
from kraken_bids.report.pages import Coverage, Motion
from kraken_bids.report.png import draw_png

WIDTH = 1060.0


def draw_motion(motion: Motion) -> bytes:
    """PNG of one run's framewise displacement, volumes left out marked below the trace."""
    figure = theme.new_figure(WIDTH, 150, scale=1.5)
    axes = theme.add_box(figure, 58, 10, WIDTH - 72, 96)
    theme.style_axes(axes, x_label="minutes", y_label="FD (mm)")
    displacement = np.asarray(motion.displacement, dtype=float)
    minutes = np.arange(len(displacement)) * motion.tr / 60
    end = max(float(len(displacement) * motion.tr / 60), 1e-3)
    finite = displacement[np.isfinite(displacement)]
    top = max(
        0.6,
        float(np.percentile(finite, 99.5)) * 1.15 if finite.size else 0.0,
        (motion.threshold or 0) * 1.2,
    )
    axes.set(xlim=(0, end), ylim=(-0.13 * top, top))
    axes.yaxis.set_major_locator(MaxNLocator(4, prune=None))
    axes.fill_between(minutes, 0, displacement, color=theme.ACCENT, alpha=0.15, linewidth=0)
    axes.plot(minutes, displacement, color=theme.ACCENT, linewidth=0.8)
    if motion.threshold is not None:
        axes.axhline(motion.threshold, color=theme.WARM, linewidth=0.8, linestyle=(0, (5, 3)))
    dropped = ~np.asarray(motion.kept, dtype=bool)
    axes.broken_barh(
        _bars(dropped, motion.tr / 60), (-0.1 * top, 0.06 * top), color=theme.WARM, linewidth=0.6
    )
    if finite.size and finite.max() > top:
        note = f"highest {finite.max():.1f} mm"
        theme.add_text(
            axes, 0.995, 0.76, note, transform=axes.transAxes, ha="right", fontsize=theme.SMALL
        )
    return draw_png(figure)


def draw_coverage(coverage: Sequence[Coverage]) -> bytes:
    """PNG of every region's coverage as a dot, one row per space and parcellation."""
    row = 58.0
    figure = theme.new_figure(WIDTH, 56 + row * len(coverage), scale=1.5)
    axes = theme.add_box(figure, 140, 8, WIDTH - 165, row * len(coverage))
    theme.style_axes(axes, x_label="share of the region's voxels with data (%)", grid="x")
    axes.set(xlim=(-1, 101), ylim=(len(coverage) - 0.5, -0.5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=theme.NORMAL, labelcolor=theme.TEXT)
    axes.set_yticks(range(len(coverage)), [f"{c.parcellation}\n{c.space}" for c in coverage])
    spread = np.random.default_rng(0)
    for i, entry in enumerate(coverage):
        share = 100 * np.nan_to_num(np.asarray(entry.share, dtype=float))
        low = share < 100 * entry.threshold
        y = i + spread.uniform(-0.3, 0.3, len(share))
        axes.vlines(
            100 * entry.threshold,
            i - 0.42,
            i + 0.42,
            color=theme.WARM,
            linewidth=0.9,
            linestyle=(0, (4, 2)),
        )
        axes.scatter(share[~low], y[~low], s=7, color=theme.ACCENT, alpha=0.35, linewidth=0)
        axes.scatter(share[low], y[low], s=22, color=theme.WARM, marker="X", linewidth=0)
    return draw_png(figure)


def _bars(mask: np.typing.NDArray[np.bool_], step: float) -> list[tuple[float, float]]:
    """Start and length of every stretch of True, in the unit of ``step``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(start * step, (stop - start) * step) for start, stop in edges.reshape(-1, 2).tolist()]
