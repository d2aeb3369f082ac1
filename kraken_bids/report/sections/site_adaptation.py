"""How connectomes were moved into the range of the training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.sidecar_records import ADAPTATION, FIT, MODEL
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.report import theme
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.sections.model_facts import describe_model
from kraken_bids.report.written import Means, Written, read_means, sort_flavors
from kraken_bids.report.written_group import WrittenGroup

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ADAPTATION_WORDS = {
    "none": "The connectomes entered the model as they were measured. Scanner and processing "
    "differences from the training data are still in them, so predictions may be biased.",
    "meanshift": "From each connectome the mean of this cohort was subtracted and the mean of the "
    "training data was added, edge by edge.",
    "meanfit": "Each connectome was scaled by b0 and shifted by b1, the straight line that best "
    "carries the mean of this cohort onto the mean of the training data.",
    "meanfit+meanshift": "Each connectome's deviation from the mean of this cohort was scaled by "
    "b0 and added to the mean of the training data. b0 is the slope of the straight line that "
    "best carries one mean onto the other.",
}
NOT_ADAPTED = "No adaptation was applied: the connectomes entered the model as measured."
R2_WORDS = (
    "R² says how much of the training mean the line explains: near 1 the two data sets differ "
    "only in scale and offset; well below 0.5 they differ in kind, and the inputs deserve a "
    "second look."
)


@dataclass(frozen=True)
class AdaptationFit:
    """How one input flavor was moved into the range of the training data."""

    flavor: str
    mode: str
    """``none``, ``meanshift``, ``meanfit`` or ``meanfit+meanshift``."""
    b0: float | None
    b1: float | None
    r2: float | None
    n_subjects: int | None
    new_mean: Floats | None = None
    """Mean edges of the cohort [n_edges]; only the group page draws them."""
    training_mean: Floats | None = None
    """Mean edges of the training data [n_edges]."""


def list_fits(written: Written) -> tuple[AdaptationFit, ...]:
    """List the fit of every input flavor of a session that was adapted."""
    fits = {
        flavor: _read_fit(
            flavor, fit, facts.text(MODEL.adaptation_mode), fit.count(FIT.cohort_size)
        )
        for facts in written.sources.values()
        for flavor, fit in facts.part(ADAPTATION.adaptation).by_name().items()
    }
    return tuple(fits[flavor] for flavor in sorted(fits))


def list_group_fits(group: WrittenGroup) -> tuple[AdaptationFit, ...]:
    """List the fit of every flavor of the cohort, with both means."""
    path = group_path(group.output_dir, "adaptation.json")
    known = read_facts(path).part("Flavors").by_name() if path.exists() else {}
    means = group.once(read_means) if known else {}
    found = ((flavor.name, known.get(flavor.name, Facts())) for flavor in sort_flavors(known))
    return tuple(
        _read_fit(name, fit, fit.text("Mode"), fit.count("NumberOfSubjects"), means.get(name))
        for name, fit in found
    )


def _read_fit(  # noqa: PLR0917
    flavor: str, fit: Facts, mode: str, n_subjects: int | None, means: Means | None = None
) -> AdaptationFit:
    b0, b1, r2 = (fit.number(key) for key in (FIT.b0, FIT.b1, FIT.r2))
    return AdaptationFit(flavor, mode, b0, b1, r2, n_subjects, *(means or (None, None)))


def draw_adaptation(fits: Sequence[AdaptationFit]) -> bytes:
    """PNG of small multiples: training mean against cohort mean, and the fitted line."""
    drawn = [fit for fit in fits if fit.new_mean is not None and fit.training_mean is not None]
    per_row = 4
    n_rows = -(-len(drawn) // per_row)
    left_margin, width, height = 62.0, 250.0, 222.0
    size = left_margin + width * min(per_row, len(drawn)), 28 + height * n_rows
    figure = theme.new_figure(*size, scale=1.6)
    for i, fit in enumerate(drawn):
        left, top = left_margin + width * (i % per_row), 40 + height * (i // per_row)
        _draw_fit(theme.add_box(figure, left, top, width - 56, height - 84), fit)
    theme.name_axes_of_all(figure, "mean of this cohort", "mean of the training data")
    return theme.draw_png(figure)


def _draw_fit(axes: "Axes", fit: AdaptationFit) -> None:
    theme.style_axes(axes, grid="")
    axes.locator_params(nbins=4)
    theme.add_title(axes, fit.flavor, _numbers(fit), top=1.17)
    x, y = np.asarray(fit.new_mean, dtype=float), np.asarray(fit.training_mean, dtype=float)
    logarithmic = fit.flavor.startswith("SC")
    use = np.isfinite(x) & np.isfinite(y) & ((x > 0) & (y > 0) if logarithmic else True)
    x, y = x[use], y[use]
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        style = {"transform": axes.transAxes, "ha": "center", "color": theme.MUTED}
        theme.add_text(axes, 0.5, 0.5, "nothing to fit", **style)
        return
    edges_x, edges_y = (_bins(v, logarithmic=logarithmic) for v in (x, y))
    theme.draw_density(axes, x, y, (edges_x, edges_y))
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        axes.minorticks_off()
    if fit.b0 is not None and fit.b1 is not None:
        line = fit.b0 * edges_x + fit.b1
        shown = np.where(line > 0, line, np.nan) if logarithmic else line
        axes.plot(edges_x, shown, color=theme.WARM, linewidth=1.4)
    axes.set(xlim=(edges_x[0], edges_x[-1]), ylim=(edges_y[0], edges_y[-1]))


def _bins(values: Floats, *, logarithmic: bool) -> Floats:
    low, high = np.percentile(values, [1 if logarithmic else 0.1, 99.95 if logarithmic else 99.9])
    high = high if high > low else low + abs(low) + 1e-9
    return np.geomspace(low, high, 61) if logarithmic else np.linspace(low, high, 61)


def _numbers(fit: AdaptationFit) -> str:
    if fit.b0 is None or fit.b1 is None:
        return fit.mode
    r2 = "–" if fit.r2 is None else f"{fit.r2:.2f}"
    return f"b0 {fit.b0:.2f}   b1 {fit.b1:.2g}   R² {r2}".replace("-", "−")


def explain_adaptation(mode: str) -> str:
    """Say what an adaptation mode does to a connectome, and how to read R²."""
    words = ADAPTATION_WORDS.get("meanfit+meanshift" if mode == "meanfitshift" else mode, "")
    return words if mode == "none" or not words else f"{words} {R2_WORDS}"


def gather(written: Written) -> dict[str, Any]:
    """Gather the fits of a session, and words where there are none."""
    if written.once(describe_model) is None:
        otherwise = "There are no predictions, so nothing was adapted."
    else:
        otherwise = (
            f"{NOT_ADAPTED} Differences between scanners are still in them. Run the group level "
            "to fit an adaptation on the whole cohort."
        )
    sites = dict.fromkeys(
        (one.text(ADAPTATION.adaptation_by), one.text(ADAPTATION.adaptation_site))
        for one in written.sources.values()
    )
    by = ", ".join(f"{column} {site}" for column, site in sites if column)
    return {"fits": written.once(list_fits), "otherwise": otherwise, "by": by}


def gather_group(group: WrittenGroup) -> dict[str, Any]:
    """Gather the fits of the cohort."""
    by = read_facts(group_path(group.output_dir, "adaptation.json")).text("By")
    return {
        "fits": list_group_fits(group),
        "otherwise": NOT_ADAPTED,
        "by": f"each {by} by itself; figures and table are of all of them together" * bool(by),
    }


def draw_group(data: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw the means of the cohort against those of the training data, where both are known."""
    is_known = any(f.new_mean is not None and f.training_mean is not None for f in data["fits"])
    return {"adaptation": draw_adaptation(data["fits"])} if is_known else {}


WORDS = {"explain": explain_adaptation}
HEADING = "Adaptation to the training data"
SUBJECT = Section(
    "adaptation", "Adaptation", "site_adaptation.html", gather, heading=HEADING, words=WORDS
)
GROUP = Section(
    "adaptation",
    "Adaptation",
    "site_adaptation.html",
    gather_group,
    heading=HEADING,
    draw=draw_group,
    figures=("adaptation",),
    words=WORDS,
)
