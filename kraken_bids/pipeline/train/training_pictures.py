"""Pictures of a training, drawn again while it goes on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.pipeline.train.training_history import LOSS, History
from kraken_bids.pipeline.train.validation import GROUP_MEAN, MODEL, SHUFFLED, Figure
from kraken_bids.report.source_by_target import SourceByTarget, draw_source_by_target
from kraken_bids.report.theme import ACCENT, MUTED, WARM
from kraken_bids.report.training_curves import Curve, CurvePanel, draw_curves

CURVES_NAME = "curves.png"
SHOWN = (
    ("avgrank", "edges", "Average rank"),
    ("avgcorr_resid", "edges", "Correlation less the training mean"),
    ("top1acc", "edges", "Top-1 accuracy"),
    ("avgcorr", "edges", "Correlation"),
    ("avgrank", "transform", "Average rank"),
)
SPACE_WORDS = {"edges": "edge space", "transform": "transform space"}
HEATMAPS = ("avgrank", "avgcorr_resid")


def draw_history(history: History, folder: Path, *, best_epoch: int | None) -> None:
    """Draw ``curves.png``: means over all paths."""
    losses = history.curve("train", LOSS, "transform")
    panels = [
        CurvePanel(
            "Training loss",
            "mean over paths and batches",
            [Curve("training subjects", ACCENT, *losses)] if losses[0] else [],
        )
    ]
    for metric, space, title in SHOWN:
        lines = [
            Curve(name, colour, *history.curve(split, metric, space))
            for split, name, colour in (
                ("train", "training subjects", ACCENT),
                ("validation", "validation subjects", WARM),
                ("test", "test subjects", "#777777"),
            )
        ]
        lines += _list_baselines(history, metric, space)
        shown = [line for line in lines if line.epochs]
        panels.append(CurvePanel(title, f"{SPACE_WORDS[space]}, mean over paths", shown))
    _write(folder / CURVES_NAME, draw_curves(panels, best_epoch=best_epoch))


def draw_heatmaps(figures: Sequence[Figure], split: str, folder: Path) -> None:
    """Draw source by target of subjects of a split, in edge space."""
    for metric in HEATMAPS:
        found, guessed = (
            [
                figure
                for figure in figures
                if (figure.split, figure.metric, figure.space, figure.predictor)
                == (split, metric, "edges", predictor)
            ]
            for predictor in (MODEL, SHUFFLED)
        )
        if found:
            chance = np.mean([one.value for one in guessed]) if metric == "avgrank" else 0.0
            png = _draw_heatmap(found, metric, split, chance=float(chance))
            _write(folder / f"heatmap_{metric}_edges_{split}.png", png)


def _list_baselines(history: History, metric: str, space: str) -> list[Curve]:
    """List what the group mean and shuffled predictions reach on validation subjects."""
    epochs, values = history.curve("validation", metric, space, SHUFFLED)
    mean = history.curve("validation", metric, space, GROUP_MEAN)[1]
    found = [Curve("validation, shuffled", MUTED, epochs, values, ":")]
    if mean and epochs:
        ends = [epochs[0], epochs[-1]]
        found.append(Curve("validation, group mean", MUTED, ends, [mean[0]] * 2, "--"))
    return found


def _draw_heatmap(figures: Sequence[Figure], metric: str, split: str, *, chance: float) -> bytes:
    ends = [name for figure in figures for name in (figure.source, figure.target)]
    names = tuple(dict.fromkeys(ends))
    flavors: list[Flavor] = [parse_flavor(name) for name in names]
    values = np.full((len(names), len(names)), np.nan)
    for figure in figures:
        values[names.index(figure.source), names.index(figure.target)] = figure.value
    groups = tuple(flavor.group for flavor in flavors)
    table = SourceByTarget(names, groups, names, groups)
    n = max(figure.n for figure in figures)
    name = next(title for known, _, title in SHOWN if known == metric)
    title = f"{name}, {n} {split} subjects, {SPACE_WORDS['edges']}"
    return draw_source_by_target(table, values, chance=chance, digits=2, title=title)


def _write(path: Path, png: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)
