"""One BOLD run, from its file to its cleaned region series and their connectome.

What the app and ``kraken-tools fc`` share: neither BIDS names nor a dataset are known here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold import Bold
from kraken_bids.connectome.functional.cleaning import Cleaning, CleanRun
from kraken_bids.connectome.functional.correlations import (
    compute_correlation,
    compute_partial_correlation,
    concatenate_runs,
    partial_correlation_ridge,
)
from kraken_bids.connectome.functional.denoise import apply_nuisance, prepare_nuisance
from kraken_bids.connectome.functional.timeseries import RegionSeries, compute_region_series
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.columns import read_columns
from kraken_bids.io.images import read_image
from kraken_bids.io.texts import read_json
from kraken_bids.pipeline.measure.label_grids import GridRegions
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

TISSUES = ("GM", "WM", "CSF")
GSR = "hpfgsr"


@dataclass(frozen=True)
class CleanedRun:
    """One run, cleaned with and without global signal regression."""

    plain: CleanRun
    """Without."""
    gsr: CleanRun | None
    """With; None where it is not wanted or cannot be had."""
    missing_gsr: str
    """Why it cannot be had; empty where it can, or is not wanted."""


def read_region_series(
    bold: Bold,
    labels: Mapping[str, GridRegions],
    *,
    brain_mask: NDArray[np.int32] | None,
    tissues: Mapping[str, NDArray[np.int32]],
) -> RegionSeries:
    """Region series of every label image in one read of the BOLD file.

    Parameters
    ----------
    bold : Bold
        The run.
    labels : mapping of str to GridRegions
        Regions of each parcellation on the BOLD grid.
    brain_mask : ndarray of shape (x, y, z), or None
        From :func:`mask_on_grid`; None: every voxel.
    tissues : mapping of str to ndarray, shape (x, y, z)
        ``GM``, ``WM``, ``CSF``, likewise.

    Returns
    -------
    RegionSeries
        Its coverage is a share of the whole region, whether or not the field of view holds it.

    Raises
    ------
    InputError
        If the file is cut or damaged, or the brain mask holds nothing.
    ConnectomeError
        If the grids differ.
    """
    if brain_mask is not None and not brain_mask.any():
        raise InputError(
            f"expected a brain mask that covers voxels of {bold.path}; found none on its grid. Is "
            "it the mask of this run, in the same space?"
        )
    series = compute_region_series(
        bold.volumes(),
        shape=bold.shape[:3],
        slope=bold.slope,
        inter=bold.inter,
        labels={name: regions.labels for name, regions in labels.items()},
        brain_mask=None if brain_mask is None else brain_mask > 0,
        tissue_masks={name: mask > 0 for name, mask in tissues.items()},
        n_regions={name: len(regions.n_whole) for name, regions in labels.items()},
    )
    if series.n_not_finite:
        logger.warning(
            "%s: %d values are NaN or infinite and count as zero", bold.path, series.n_not_finite
        )
    coverage = {
        name: shares * series.n_voxels[name] / np.maximum(labels[name].n_whole, 1)
        for name, shares in series.coverage.items()
    }
    return replace(series, coverage=coverage)


def mask_on_grid(path: Path, bold: Bold) -> NDArray[np.int32]:
    """1 in voxels of a mask or probability map above one half, on the BOLD grid.

    Raises
    ------
    InputError
        If the image is missing, damaged or has other than three axes.
    """
    # where the run itself has no place, both are guessed alike
    values, affine = read_image(path, needs_place=bold.is_placed)
    inside = (values > 0.5).astype(np.int32)
    moved = resample_labels(inside, affine, target_shape=bold.shape[:3], target_affine=bold.affine)
    if not moved.any():
        logger.warning("%s: no voxel above one half on the grid of %s", path, bold.path)
    return moved.astype(np.int32, copy=False)


def clean_series(
    series: RegionSeries,
    files: tuple[Path, Path | None],
    settings: FunctionalSettings,
    *,
    tr: float,
    with_gsr: bool,
) -> CleanedRun:
    """Clean the region series of a run as the settings say, once or also with global signal.

    Parameters
    ----------
    series : RegionSeries
        The run.
    files : tuple of path and path or None
        fMRIPrep's confounds and their sidecar.
    settings : FunctionalSettings
        What to do.
    tr : float
        Repetition time, s.
    with_gsr : bool
        Whether the global signal is to be regressed too, beside the plain cleaning.

    Raises
    ------
    InputError
        If a file is missing or broken.
    ConnectomeError
        If the confounds do not fit the run, or it is too short; the message names their file.
    """
    confounds, sidecar = files
    cleaning = Cleaning(
        strategy=settings.denoise,
        high_pass=settings.high_pass,
        drop_volumes=settings.drop_volumes,
        fd_threshold=settings.fd_threshold,
    )
    columns = read_columns(confounds)
    metadata = read_json(sidecar) if sidecar else {}
    try:
        nuisance = prepare_nuisance(series, columns, metadata, tr=tr, cleaning=cleaning)
        if nuisance.by_cosines and settings.high_pass != FunctionalSettings.high_pass:
            logger.warning(
                "--high-pass %g is not used: --denoise %s filters with the cosines of %s",
                settings.high_pass, settings.denoise, confounds,
            )  # fmt: skip
        has_gsr = with_gsr and nuisance.global_signal is not None
        return CleanedRun(
            plain=apply_nuisance(series, nuisance, gsr=False),
            gsr=apply_nuisance(series, nuisance, gsr=True) if has_gsr else None,
            missing_gsr=nuisance.missing if with_gsr and not has_gsr else "",
        )
    except ConnectomeError as error:
        raise type(error)(f"{confounds}: {error}") from error


def compute_connectome(
    flavor: Flavor,
    runs: Sequence[CleanRun],
    missing: NDArray[np.bool_],
    ridges: Mapping[str, float],
    *,
    saved_ridges: Mapping[str, float] | None = None,
) -> tuple[NDArray[np.float64], dict[str, object]]:
    """Connectome of a flavor from the cleaned runs of its task.

    Parameters
    ----------
    flavor : Flavor
        Correlation, or ridge partial correlation.
    runs : sequence of CleanRun
        Concatenated, in this order.
    missing : ndarray of bool, shape (n_regions,)
        Regions with too little coverage.
    ridges : mapping of str to float
        λ per parcellation that the user chose.
    saved_ridges : mapping of str to float, optional
        λ per parcellation that a group run found.

    Returns
    -------
    square : ndarray of shape (n_regions, n_regions)
        NaN rows and columns where regions are missing.
    facts : dict
        Fields of the sidecar: frames, λ.

    Raises
    ------
    ConnectomeError
        If too few frames or regions are left.
    """
    series = concatenate_runs(
        [run.cleaned[flavor.parcellation] for run in runs], [run.kept for run in runs]
    )
    series[:, missing] = np.nan
    correlation = compute_correlation(series)
    facts: dict[str, object] = {"Frames": len(series)}
    if flavor.measure != "FCpcorr":
        return correlation, facts
    ridge, origin = partial_correlation_ridge(flavor.parcellation, ridges, saved_ridges)
    facts |= {"Lambda": ridge, "LambdaSource": origin}
    return compute_partial_correlation(correlation, ridge=ridge), facts
