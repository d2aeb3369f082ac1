"""What fixes the shape of a network that decodes whole volumes, and the volumes that it takes."""

from dataclasses import dataclass
from typing import Literal

from kraken_bids.analysis_settings import CLEANINGS, DEEPLIGHT
from kraken_bids.connectome.functional.cleaning import Cleaning
from kraken_bids.exceptions import SettingsError

Kind = Literal["2d", "3d"]
GRID = (91, 109, 91)
"""Voxels of MNI152NLin6Asym at 2 mm, along x, y and z."""
CHANNELS: dict[Kind, tuple[int, ...]] = {
    "2d": (8, 8, 16, 16, 32, 32, 32, 32, 64, 64, 64, 64),
    "3d": (8, 8, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128),
}
STRIDES: dict[Kind, tuple[int, ...]] = {
    "2d": (1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1),
    "3d": (1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1),
}
LSTM_SIZE = 64
"""Units of each direction of the LSTM over slices."""
PUBLISHED_STATES = (
    "fear", "neut", "loss", "neut", "win", "math", "story", "lf", "lh", "rf", "rh", "t", "match",
    "relation", "mental", "other", "body", "faces", "places", "tools",
)  # fmt: skip
"""States of the Human Connectome Project's tasks as the release orders them; its weights decode
the first sixteen."""


@dataclass(frozen=True)
class VolumeArchitecture:
    """Shape of a network.

    Source: Thomas, Lindenberger, Samek, Müller, arXiv 2111.01562.
    """

    kind: Kind
    """``2d``: axial slices, and an LSTM over them; ``3d``: cubes."""
    states: tuple[str, ...]
    """What the outputs stand for."""
    grid: tuple[int, int, int] = GRID
    """Voxels of a volume along x, y and z."""
    channels: tuple[int, ...] = ()
    """Of each convolution; by default as published."""
    strides: tuple[int, ...] = ()
    """Of each convolution; by default as published."""

    def __post_init__(self) -> None:
        if self.kind not in CHANNELS:
            raise SettingsError(f"expected an architecture 2d or 3d; found {self.kind}.")
        for name, published in (("channels", CHANNELS), ("strides", STRIDES)):
            if not getattr(self, name):
                object.__setattr__(self, name, published[self.kind])
        if len(self.channels) != len(self.strides):
            raise SettingsError(
                f"expected a stride for each of {len(self.channels)} convolutions; found "
                f"{len(self.strides)}."
            )
        if len(self.states) < 2:
            raise SettingsError(
                f"expected at least two states to tell apart; found {len(self.states)}."
            )

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.states)

    def shrink(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        """Lengths of the last convolution's map, of those of its input."""
        for stride in self.strides:
            lengths = tuple(-(-length // stride) for length in lengths)
        return lengths


@dataclass(frozen=True)
class VolumeCleaning:
    """What is done to the volumes of a run."""

    smoothing_fwhm: float = 3.0
    """mm; 0 for none."""
    high_pass: float = 1 / 128
    """Hz; 0 for none. Of the release a Butterworth filter, else that of the strategy."""
    strategy: str = DEEPLIGHT
    """``deeplight``, or how confounds are regressed."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.strategy not in CLEANINGS:
            raise SettingsError(
                f"--cleaning: expected one of {', '.join(CLEANINGS)}; found {self.strategy}."
            )
        for name, value in (("smoothing", self.smoothing_fwhm), ("high-pass", self.high_pass)):
            if not value >= 0:
                raise SettingsError(f"expected {name} of 0 or more; found {value}.")

    @property
    def takes_confounds(self) -> bool:
        """Whether a table of confounds is read."""
        return self.strategy != DEEPLIGHT

    def by(self, strategy: str | None) -> "VolumeCleaning":
        """Give the same cleaning by another strategy, with its own high-pass."""
        if strategy is None or strategy == self.strategy:
            return self
        usual = VolumeCleaning.high_pass if strategy == DEEPLIGHT else Cleaning.high_pass
        return VolumeCleaning(self.smoothing_fwhm, usual, strategy)
