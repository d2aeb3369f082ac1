"""What is asked of a tractogram."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from kraken_bids.connectome.structural.streamline_counts import METRICS, Units
from kraken_bids.connectome.structural.tally import (
    LENGTH_METRICS,
    SCALE,
    STATISTICS,
    takes_weights,
)
from kraken_bids.exceptions import SettingsError

Assignment = Literal["radial", "end-voxels", "reverse", "all-voxels"]
ASSIGNMENTS: tuple[Assignment, ...] = get_args(Assignment)
SC_METRICS = (*METRICS, *LENGTH_METRICS)


@dataclass(frozen=True)
class TractogramOptions:
    """What to make of a tractogram."""

    metrics: Sequence[str] = ("count",)
    units: Units = "krakencoder"
    assignment: Assignment = "radial"
    radius: float = 4.0
    """mm, of the radial search."""
    max_distance: float = 0.0
    """mm along the streamline, of the reverse search; 0: to its middle."""
    weights: Path | None = None
    scale_file: Path | None = None
    """A value per streamline."""
    scalars: Mapping[str, Path] = field(default_factory=dict)
    """Images in the tractogram's space whose mean along each streamline is taken, by name."""
    statistic: str = "mean"
    """What an edge keeps of the values of ``scale_file`` and ``scalars``."""
    rounds_to_single: bool = True
    """Whether vertices are taken in single precision whatever the file holds, as in MRtrix."""
    n_threads: int = 1
    """They change not one bit."""

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Metrics asked for, and those of the file of values and of scalars."""
        metrics = list(dict.fromkeys(self.metrics))
        for name in ([SCALE] if self.scale_file is not None else []) + list(self.scalars):
            metrics.append(f"{self.statistic}{name}")
            if self.weights is not None and self.statistic in {"sum", "mean"}:
                metrics.append(f"sift2{self.statistic}{name}")
        return tuple(metrics)

    @property
    def takes_vertices(self) -> bool:
        """Whether more than the ends of the streamlines is needed."""
        return self.takes_tracks or self.takes_lengths or bool(self.scalars)

    @property
    def takes_tracks(self) -> bool:
        """Whether regions cannot be told by the ends alone."""
        return self.assignment in {"reverse", "all-voxels"}

    @property
    def takes_lengths(self) -> bool:
        """Whether a metric needs lengths."""
        return any(metric in LENGTH_METRICS for metric in self.metrics)


def check_options(options: TractogramOptions) -> None:
    """Raise unless the options make sense together.

    Raises
    ------
    SettingsError
        Saying which do not.
    """
    unknown = [metric for metric in options.metrics if metric not in SC_METRICS]
    if unknown:
        raise SettingsError(
            f"--metric: expected some of {', '.join(SC_METRICS)}; found {', '.join(unknown)}."
        )
    weighted = [metric for metric in options.metrics if takes_weights(metric)]
    if weighted and options.weights is None:
        raise SettingsError(
            f"--metric {' '.join(weighted)}: expected streamline weights; found none. Give the "
            "file that tcksift2 wrote (--weights)."
        )
    if options.assignment == "all-voxels" and options.units == "krakencoder":
        raise SettingsError(
            "--assignment all-voxels: the model's units are defined for streamlines with two "
            "ends; found --units krakencoder. Add --units mrtrix."
        )
    if options.radius <= 0 or options.max_distance < 0 or options.n_threads < 1:
        raise SettingsError(
            f"expected a radius above 0 mm, a reverse search of 0 mm or more and at least one "
            f"thread; found {options.radius:g} mm, {options.max_distance:g} mm and "
            f"{options.n_threads}."
        )
    check_scalar_names(options.scalars)
    if options.statistic not in STATISTICS:
        raise SettingsError(
            f"--stat: expected {', '.join(STATISTICS)}; found {options.statistic!r}."
        )
    _check_effect(options)


def _check_effect(options: TractogramOptions) -> None:
    """Raise where an option would change nothing, though whoever gave it thinks it does."""
    default = TractogramOptions()
    if options.weights is not None and not any(map(takes_weights, options.all_metrics)):
        raise SettingsError(
            f"--weights: expected a metric that takes them; found {' '.join(options.metrics)}, "
            "in which every streamline counts as one. Ask for --metric sift2 (tck2connectome "
            "-tck_weights_in), sift2volnorm …, or leave --weights out."
        )
    if options.statistic != default.statistic and not (options.scalars or options.scale_file):
        raise SettingsError(
            f"--stat {options.statistic}: expected --scalar or --scale-file, of whose values it "
            "is taken; found neither. Leave it out, or give one."
        )
    if options.radius != default.radius and options.assignment != "radial":
        raise SettingsError(
            f"--radius {options.radius:g}: expected --assignment radial, which alone searches in "
            f"a radius; found {options.assignment}. Leave one of them out."
        )


def check_scalar_names(names: Iterable[str]) -> None:
    """Raise unless scalars are called so that their matrices can be.

    Raises
    ------
    SettingsError
    """
    lower: dict[str, str] = {}
    for name in names:
        other = lower.setdefault(name.lower(), name)
        if other != name:
            raise SettingsError(
                f"--scalar {name}=IMAGE: expected names that differ not in case alone, since "
                f"matrices are called after them; found {other} too. Rename one."
            )
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name) or name.lower() in {"length", SCALE}:
            raise SettingsError(
                f"--scalar {name}=IMAGE: expected a name of letters and digits, such as FA, since "
                f"matrices are called after it, and neither length nor {SCALE}; found {name!r}."
            )


def parse_assignment(words: Sequence[str]) -> tuple[Assignment, float]:
    """Mode and distance of ``--assignment MODE [MM]``.

    Raises
    ------
    SettingsError
        If the mode is unknown, ``reverse`` has no distance, or another mode has one.
    """
    mode, *rest = words
    if mode in ASSIGNMENTS and len(rest) == (mode == "reverse"):
        try:
            return mode, float(rest[0]) if rest else 0.0
        except ValueError:
            pass
    raise SettingsError(
        f"--assignment: expected radial, end-voxels, all-voxels or `reverse MM`; found "
        f"`{' '.join(words)}`."
    )
