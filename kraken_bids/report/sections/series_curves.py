"""How the loss fell while a network of region series was trained."""

from dataclasses import dataclass

from kraken_bids.models.decoding_records import TrainingPoint
from kraken_bids.models.series.peers import MEAN, RIDGE
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.sections.series_peers import NAMES
from kraken_bids.report.sections.series_peers import gather as gather_peers
from kraken_bids.report.training_curves import Curve, CurvePanel, draw_curves
from kraken_bids.report.written_series import WrittenSeries

TITLES = {"loss": "Loss", "accuracy": "Accuracy", "learning_rate": "Learning rate"}
SPLITS = {"train": ("training", theme.ACCENT), "validation": ("validation", theme.WARM)}
PEERS = {RIDGE: (theme.MUTED, "--"), MEAN: (theme.MUTED, ":")}


@dataclass(frozen=True)
class SeriesCurves:
    """Curves by metric, and where they end."""

    panels: tuple[CurvePanel, ...]
    n_steps: int
    first: float | None
    """Validation loss when it was first measured."""
    last: float | None
    """And in the end."""


def gather(written: WrittenSeries) -> SeriesCurves | None:
    """Read ``history.tsv``; losses of peers stand beside those of pretraining."""
    points = written.read_records(TrainingPoint, "history.tsv")
    if not points:
        return None
    n_steps = max(point.step for point in points)
    panels = []
    for metric, title in TITLES.items():
        curves = []
        for split, (name, colour) in SPLITS.items():
            own = [p for p in points if p.metric == metric and p.split == split]
            if own:
                steps, values = [p.step for p in own], [p.value for p in own]
                curves.append(Curve(name, colour, steps, values))
        if metric == "loss":
            curves += _list_peers(written, n_steps)
        if curves:
            panels.append(CurvePanel(title, "", curves))
    watched = [p.value for p in points if p.metric == "loss" and p.split == "validation"]
    ends = (watched[0], watched[-1]) if watched else (None, None)
    return SeriesCurves(tuple(panels), n_steps, *ends)


def _list_peers(written: WrittenSeries, n_steps: int) -> list[Curve]:
    table = written.once(gather_peers)
    return [
        Curve(NAMES[name], colour, [0, n_steps], [table.losses[name]] * 2, style)
        for name, (colour, style) in PEERS.items()
        if table and name in table.losses
    ]


def draw(curves: SeriesCurves) -> dict[str, bytes]:
    """Draw all panels side by side."""
    return {"curves": draw_curves(curves.panels, x_label="step")}


SECTION = Section(
    "curves",
    "Training",
    "series_curves.html",
    gather,
    heading="How it learned",
    draw=draw,
    figures=("curves",),
)
