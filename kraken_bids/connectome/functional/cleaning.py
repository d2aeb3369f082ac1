"""How a run is cleaned: what is asked for, what is regressed, what comes out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.bold_quality import FrameQuality
from kraken_bids.connectome.functional.confounds import Regressors

Strategy = Literal[
    "fmriclean", "acompcor", "24p", "36p", "none", "simple", "scrubbing", "compcor", "ica_aroma"
]

NILEARN: tuple[Strategy, ...] = ("simple", "scrubbing", "compcor", "ica_aroma")
"""Strategies whose confounds nilearn chooses."""
OutlierRule = Literal["art", "fmriprep", "scrubbing", "none", "cleaned"]


@dataclass(frozen=True)
class Cleaning:
    """How runs are cleaned."""

    strategy: Strategy = "fmriclean"
    high_pass: float = 0.01
    """Hz; 0 for none. ``acompcor`` high-passes by fMRIPrep's cosines (1/128 Hz) instead."""
    drop_volumes: int | None = None
    """First volumes left out; None: as many as fMRIPrep's non_steady_state columns."""
    fd_threshold: float | None = None
    """mm; frames with a larger framewise displacement are outliers too."""
    outliers: Literal["auto", "art", "fmriprep", "none"] = "auto"
    """``art``: jumps of motion or global signal; ``fmriprep``: its *outlier* columns; ``auto``:
    ``art`` for fmriclean, nilearn's for its scrubbing, ``none`` for the others."""

    @property
    def outlier_rule(self) -> OutlierRule:
        """Rule by which frames are left out, beside dropped volumes and ``fd_threshold``."""
        if self.outliers != "auto":
            return self.outliers
        rules: dict[Strategy, OutlierRule] = {"fmriclean": "art", "scrubbing": "scrubbing"}
        return rules.get(self.strategy, "none")


@dataclass(frozen=True)
class Nuisance:
    """What is regressed from a run, and which frames count."""

    blocks: tuple[Regressors, ...]
    global_signal: Regressors | None
    """None where it cannot be had; then cleaning with ``gsr`` raises ``missing``."""
    global_signal_note: str | None
    missing: str
    dropped: NDArray[np.bool_]
    outliers: NDArray[np.bool_]
    """Outliers other than dropped first volumes."""
    by_cosines: bool
    """Whether fMRIPrep's cosines, among the regressors, do the high-pass."""
    frames: FrameQuality
    tr: float
    cleaning: Cleaning
    """What was asked for."""

    @property
    def left_out(self) -> NDArray[np.bool_]:
        """Frames that do not count."""
        return self.dropped | self.outliers

    @property
    def high_pass(self) -> float:
        """Hz, of the filter after the regression; 0 for none."""
        takes_cosines = self.by_cosines or self.cleaning.strategy in NILEARN
        return 0.0 if takes_cosines else self.cleaning.high_pass

    def list_blocks(self, *, gsr: bool) -> tuple[Regressors, ...]:
        """Regressors in their order, with the global signal behind the ones or without."""
        if not gsr or self.global_signal is None:
            return self.blocks
        return (self.blocks[0], self.global_signal, *self.blocks[1:])


@dataclass(frozen=True)
class CleanRun:
    """A cleaned run, with everything that its sidecar records."""

    cleaned: dict[str, NDArray[np.float64]]
    """[n_volumes, n_regions] per parcellation; outlier frames hold filtered guesses, see kept."""
    kept: NDArray[np.bool_]
    """[n_volumes]: frames that count."""
    regressors: tuple[str, ...]
    """In their order; one ``outlier_<frame>`` per frame left out."""
    n_volumes: int
    n_dropped: int
    """First volumes left out."""
    n_outliers: int
    """Frames left out for motion or signal jumps, first volumes aside."""
    outlier_rule: OutlierRule
    mean_fd: float
    """Mean framewise displacement of all frames, mm."""
    frames: FrameQuality
    """Motion and signal of every frame."""
    tr: float
    high_pass: float
    """Hz."""
    high_pass_method: str
    strategy: Strategy
    gsr: bool
    notes: tuple[str, ...]
    """Second choices that were made, in plain words."""
    cleaned_by: str = ""
    """Software that cleaned the run before it came here, and how; '' where this one did."""
    acquired: NDArray[np.intp] | None = None
    """[n_volumes]: number of each volume among those acquired, from 0; None: none was cut out
    before it came here."""

    @property
    def n_used(self) -> int:
        """Frames that count."""
        return int(self.kept.sum())

    @property
    def minutes(self) -> float:
        """Minutes of data that count."""
        return self.n_used * self.tr / 60
