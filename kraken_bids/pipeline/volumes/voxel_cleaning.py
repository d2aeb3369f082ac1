"""How the series of voxels are cleaned: as the release of the decoders does, or of confounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.volumes.architecture import VolumeCleaning

Series = NDArray[np.float64]


@dataclass(frozen=True)
class VoxelCleaning:
    """How the voxels of one run are cleaned."""

    clean: Callable[[Series], Series]
    """Of series [n_volumes, n_voxels]."""
    kept: NDArray[np.bool_]
    """[n_volumes]: volumes that count."""
    regressors: Sequence[str] = ()
    """What is regressed."""


Prepare = Callable[[Series, float], VoxelCleaning]
"""Chooses what is regressed, of the mean of the brain [n_volumes] and the repetition time (s)."""
LEAST_VOLUMES = 3
"""A line through fewer leaves nothing of a series."""
Preparations = Mapping[Path, Prepare]
"""Of each run by its path; none of cleanings without confounds."""


def clean_as_released(cleaning: VolumeCleaning, n_volumes: int, tr: float) -> VoxelCleaning:
    """Detrend and filter as the release does, without confounds; every volume counts.

    Source: nilearn's ``signal.clean`` (detrend, then the filter).
    """

    def clean(part: Series) -> Series:
        from nilearn import signal

        if n_volumes < LEAST_VOLUMES:
            raise ConnectomeError(
                f"{n_volumes} of at least {LEAST_VOLUMES} volumes that detrending needs. Give a "
                "whole run"
            )
        level: Series = signal.clean(part, detrend=True, standardize=None, filter=False)
        if not cleaning.high_pass:
            return level
        try:
            # clean filters one voxel after the other, which takes thirty times as long
            filtered: Series = signal.butterworth(
                level, sampling_rate=1 / tr, high_pass=cleaning.high_pass, copy=True
            )
        except ValueError as error:
            raise ConnectomeError(
                f"{n_volumes} volumes of {tr:g} s: {str(error).rstrip('.')}. Give a longer run"
            ) from error
        return filtered

    return VoxelCleaning(clean, np.ones(n_volumes, bool))
