"""Confounds regressed from the voxels of whole volumes, by the strategies of connectomes."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.bids.volume_runs import find_confounds_beside
from kraken_bids.connectome.functional.cleaning import Cleaning, Nuisance
from kraken_bids.connectome.functional.denoise import apply_nuisance
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.volumes.architecture import VolumeCleaning
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.pipeline.measure.bold_runs import Confounds, choose_nuisance, read_confounds
from kraken_bids.pipeline.volumes.voxel_cleaning import Prepare, Series, VoxelCleaning
from kraken_bids.settings import Denoise, FunctionalSettings

logger = logging.getLogger(__name__)

VOXELS = "voxels"
WAYS_OUT = {
    "--denoise": "--cleaning",
    "or raise --fd-threshold": "or use --cleaning deeplight",
    "Lower --drop-volumes": "Leave the run out, or use --cleaning deeplight",
    "Lower --high-pass": "Leave the run out, or use --cleaning deeplight",
}
"""What messages about connectomes advise, in options of volumes."""


def choose_cleaning(pretrained: VolumeModel | None, asked: str | None) -> VolumeCleaning:
    """Choose how runs are cleaned: as asked, else as a pretrained decoder's, else as released."""
    usual = pretrained.cleaning if pretrained else VolumeCleaning()
    chosen = usual.by(asked)
    if pretrained and chosen != usual:
        logger.warning(
            "--cleaning %s: the decoder was trained on volumes cleaned by %s",
            chosen.strategy, usual.strategy,
        )  # fmt: skip
    return chosen


def prepare_confounds(
    cleaning: VolumeCleaning, bold: Path, confounds: Path | None = None
) -> Prepare | None:
    """Read the confounds of a run, if its cleaning regresses any.

    There are no voxels of tissues: where a strategy takes their signals, fMRIPrep's columns are
    regressed. The global signal is not.

    Parameters
    ----------
    bold : Path
        The run, of which name and header are looked at.
    confounds : Path, optional
        fMRIPrep's table; by default that beside the run.

    Raises
    ------
    InputError
        If there is no table, or it is broken or of another run.
    """
    if not cleaning.takes_confounds:
        return None
    table = confounds or find_confounds_beside(bold)
    sidecar = table.with_suffix(".json")
    found = read_confounds(
        table,
        sidecar if sidecar.is_file() else None,
        n_volumes=open_bold(bold, tr=None).shape[3],
    )
    return partial(_prepare, cleaning=cleaning, bold=bold, confounds=found)


def _prepare(
    global_mean: Series, tr: float, *, cleaning: VolumeCleaning, bold: Path, confounds: Confounds
) -> VoxelCleaning:
    is_usual = cleaning.high_pass == Cleaning.high_pass
    settings = FunctionalSettings(
        denoise=cast("Denoise", cleaning.strategy),
        high_pass=None if is_usual else cleaning.high_pass,
    )
    series = RegionSeries({VOXELS: global_mean[:, None]}, {}, {}, global_mean, None, {})
    try:
        nuisance = choose_nuisance(series, confounds, settings, tr=tr, with_gsr=False, bold=bold)
        # too few volumes are told before the first voxel
        run = apply_nuisance(series, nuisance, gsr=False)
    except ConnectomeError as error:
        raise _reword(error, confounds.path) from error
    return VoxelCleaning(partial(_clean, series, nuisance), run.kept, run.regressors)


def _clean(series: RegionSeries, nuisance: Nuisance, part: Series) -> Series:
    return apply_nuisance(replace(series, means={VOXELS: part}), nuisance, gsr=False).cleaned[
        VOXELS
    ]


def _reword(error: ConnectomeError, table: Path) -> ConnectomeError:
    """Name the table, and the options that there are for volumes."""
    text = str(error)
    for theirs, ours in WAYS_OUT.items():
        text = text.replace(theirs, ours)
    return type(error)(text if text.startswith(str(table)) else f"{table}: {text}")
