"""One BOLD run, from its file to its cleaned region series."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_origins import FMRIPREP, BoldOrigin
from kraken_bids.bids.bold_series import Bold, open_bold
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.connectome.functional.cleaning import NILEARN, Cleaning, CleanRun, Nuisance
from kraken_bids.connectome.functional.denoise import apply_nuisance
from kraken_bids.connectome.functional.map_weights import GridMaps, MapsProjection
from kraken_bids.connectome.functional.nuisance import prepare_nuisance
from kraken_bids.connectome.functional.timeseries import RegionSeries, compute_region_series
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.texts import read_json
from kraken_bids.pipeline.measure.bold_grids import Grids
from kraken_bids.pipeline.measure.cleaned_runs import KnownVolumes, read_volumes, take_cleaned
from kraken_bids.pipeline.measure.label_grids import GridRegions
from kraken_bids.pipeline.measure.motion_tables import check_strategy, read_motion
from kraken_bids.pipeline.measure.nilearn_confounds import choose_confounds
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

HIGH_PASS = Cleaning.high_pass
PLAIN, GSR = "hpf", "hpfgsr"
_SUPPORT = ""


@dataclass(frozen=True)
class Confounds:
    """fMRIPrep's confounds of a run."""

    path: Path
    sidecar: Path | None
    columns: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]
    """Their sidecar; empty where there is none."""


@dataclass(frozen=True)
class MeasuredRun:
    """One run, read and cleaned."""

    source: BoldRun
    series: RegionSeries
    plain: CleanRun
    """Cleaned without global signal regression; of BOLD that came cleaned, as it came."""
    gsr: CleanRun | None
    """Cleaned with it; None where it is not wanted or cannot be had."""

    def cleaned(self, flavor: Flavor) -> CleanRun | None:
        """Return the cleaning that a flavor is computed from."""
        if self.plain.gsr:
            return self.plain if flavor.processing == GSR else None
        return {PLAIN: self.plain, GSR: self.gsr}[flavor.processing]


def read_run(
    run: BoldRun, grids: Grids, settings: FunctionalSettings, *, label: str, with_gsr: bool
) -> MeasuredRun:
    """Read and clean a run; ``label`` says in the log whose it is.

    Raises
    ------
    InputError
        If a file is missing or broken, or the confounds are of another run.
    ConnectomeError
        If the confounds lack a column, or the run is too short (TooShortError).
    """
    check_strategy(settings.denoise, run.origin, run.bold)
    if settings.drop_volumes is None:
        settings = replace(settings, drop_volumes=run.origin.drop_volumes)
    bold = open_bold(run.bold, tr=run.metadata.get("RepetitionTime"))
    # before the run, which takes longest
    known = _read_known(run, bold.shape[3])
    regions, mask, tissues = grids.lay(run, bold)
    series = read_region_series(
        bold, regions, brain_mask=mask, tissues=tissues, maps=grids.lay_maps(run, bold, mask)
    )
    if isinstance(known, KnownVolumes):
        return MeasuredRun(run, series, take_cleaned(series, known, settings, tr=bold.tr), None)
    plain, gsr, missing = clean_series(
        series, known, settings, bold=run.bold, tr=bold.tr, with_gsr=with_gsr
    )
    if missing:
        logger.warning("%s: no flavor %s: %s", label, GSR, missing)
    return MeasuredRun(run, series, plain, gsr)


def can_give(run: BoldRun, flavor: Flavor) -> bool:
    """Whether a run may give a flavor; one that came cleaned is with or without global signal."""
    return run.cleaned is None or (flavor.processing == GSR) == bool(run.cleaned.has_gsr)


def _read_known(run: BoldRun, n_volumes: int) -> Confounds | KnownVolumes:
    """Read the confounds of a run, or of one that came cleaned what is known of its volumes."""
    if run.cleaned is not None:
        return read_volumes(run.cleaned, run.bold, n_volumes)
    if run.confounds is None:
        raise InputError(
            f"expected fMRIPrep's confounds of {run.bold}; none were given, and its name does not "
            "say that it is cleaned. Give them with --confounds."
        )
    return read_confounds(
        run.confounds, run.confounds_json, n_volumes=n_volumes, origin=run.origin
    )


def read_confounds(
    path: Path, sidecar: Path | None, *, n_volumes: int, origin: BoldOrigin = FMRIPREP
) -> Confounds:
    """Read the confounds of a run of so many volumes; of pipelines other than fMRIPrep its motion.

    Raises
    ------
    InputError
        If a file is missing or broken, or the table has another number of rows.
    """
    columns = read_columns(path) if origin == FMRIPREP else read_motion(path, origin)
    n_rows = len(next(iter(columns.values())))
    if n_rows != n_volumes:
        raise InputError(
            f"{path}: expected {n_volumes} rows of confounds, one per volume; found {n_rows}. "
            "Do the confounds belong to this run? Is the BOLD file complete?"
        )
    return Confounds(path, sidecar, columns, read_json(sidecar) if sidecar else {})


def read_region_series(
    bold: Bold,
    labels: Mapping[str, GridRegions],
    *,
    brain_mask: NDArray[np.int32] | None,
    tissues: Mapping[str, NDArray[np.int32]],
    maps: Mapping[str, GridMaps] = MappingProxyType({}),
) -> RegionSeries:
    """Region series of every label image and probabilistic atlas in one read of a BOLD file.

    Masks are on the grid; without a brain mask every voxel counts. Coverage is a
    share of the whole region, whether or not the field of view holds it.

    Raises
    ------
    InputError
        If the file is cut or damaged, or the brain mask holds nothing.
    ConnectomeError
        If the grids differ.
    """
    _check_mask(brain_mask, bold.path)
    volumes, watched = bold.volumes(), {}
    for name, own in maps.items():
        watched[name] = MapsProjection(own, slope=bold.slope, inter=bold.inter)
        volumes = watched[name].watch(volumes)
    if not labels:  # every voxel of a map is labelled
        labels = {_SUPPORT: _find_support(bold, maps.values())}
    series = compute_region_series(
        volumes,
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
    for known in (series.means, coverage, series.n_voxels):
        known.pop(_SUPPORT, None)
    series = replace(series, coverage=coverage)
    for name, projection in watched.items():
        projection.add_to(series, name)
    return series


def _find_support(bold: Bold, maps: Iterable[GridMaps]) -> GridRegions:
    """One region of all voxels in which some map is not 0."""
    support = np.zeros(bold.n_voxels, np.int32)
    for own in maps:
        support[own.voxels] = 1
    return GridRegions(support.reshape(bold.shape[:3], order="F"), np.array([support.sum()]))


def clean_series(
    series: RegionSeries,
    confounds: Confounds,
    settings: FunctionalSettings,
    *,
    tr: float,
    with_gsr: bool,
    bold: Path = Path(),
) -> tuple[CleanRun, CleanRun | None, str]:
    """Clean the region series of a run, once or also with global signal regression.

    The name of its file, ``bold``, tells whether it is what ``--denoise ica_aroma`` needs. The
    second is None, and the third says why, where it cannot be had.

    Raises
    ------
    ConnectomeError
        If the confounds do not fit the run, or it is too short; the message names their file.
    """
    try:
        nuisance = choose_nuisance(
            series, confounds, settings, tr=tr, with_gsr=with_gsr, bold=bold
        )
        has_gsr = with_gsr and nuisance.global_signal is not None
        return (
            apply_nuisance(series, nuisance, gsr=False),
            apply_nuisance(series, nuisance, gsr=True) if has_gsr else None,
            nuisance.missing if with_gsr and not has_gsr else "",
        )
    except ConnectomeError as error:
        raise type(error)(f"{confounds.path}: {error}") from error


def choose_nuisance(
    series: RegionSeries,
    confounds: Confounds,
    settings: FunctionalSettings,
    *,
    tr: float,
    with_gsr: bool,
    bold: Path = Path(),
) -> Nuisance:
    """Choose what is regressed from a run, and the volumes that count, by the settings.

    Raises
    ------
    ConnectomeError
        If the confounds do not fit the run, or lack a column.
    """
    chosen = None
    if settings.denoise in NILEARN:
        chosen = choose_confounds(
            *(settings.denoise, bold, confounds.path, confounds.sidecar),
            fd_threshold=settings.fd_threshold,
            with_gsr=with_gsr,
        )
    nuisance = prepare_nuisance(
        series,
        confounds.columns,
        confounds.metadata,
        tr=tr,
        cleaning=_to_cleaning(settings),
        chosen=chosen,
    )
    if nuisance.by_cosines or chosen is not None:
        _say_cosines(settings, confounds.path)
    return nuisance


def _check_mask(brain_mask: NDArray[np.int32] | None, bold: Path) -> None:
    if brain_mask is not None and not brain_mask.any():
        raise InputError(
            f"expected a brain mask that covers voxels of {bold}; found none on its grid. Is it "
            "the mask of this run, in the same space?"
        )


def _to_cleaning(settings: FunctionalSettings) -> Cleaning:
    return Cleaning(
        "fmriclean" if settings.denoise == "auto" else settings.denoise,
        HIGH_PASS if settings.high_pass is None else settings.high_pass,
        settings.drop_volumes,
        settings.fd_threshold,
    )


def _say_cosines(settings: FunctionalSettings, confounds: Path) -> None:
    if settings.high_pass is not None:
        logger.warning(
            "--high-pass %g is not used: --denoise %s filters with the cosines of %s",
            settings.high_pass, settings.denoise, confounds,
        )  # fmt: skip
