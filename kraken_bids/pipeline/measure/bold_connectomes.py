"""``kraken-tools fc``: one read of a BOLD run, functional connectomes for several label images."""

import logging
from collections.abc import Mapping
from pathlib import Path

from kraken_bids.bids.bold import open_bold
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.output_checks import check_atlas_names
from kraken_bids.connectome.functional.bold_quality import find_uncovered, temporal_snr
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import list_flavors
from kraken_bids.io.columns import read_columns
from kraken_bids.io.image_values import list_form_doubts
from kraken_bids.pipeline.measure.bold_atlases import BoldAtlas, read_atlas
from kraken_bids.pipeline.measure.bold_connectome_files import BoldFiles, BoldWriter
from kraken_bids.pipeline.measure.bold_runs import (
    GSR,
    TISSUES,
    CleanedRun,
    clean_series,
    compute_connectome,
    mask_on_grid,
    read_region_series,
)
from kraken_bids.pipeline.measure.bold_sidecars import judge_length
from kraken_bids.settings import FunctionalSettings

__all__ = ["BoldFiles", "write_bold_connectomes"]

logger = logging.getLogger(__name__)


def write_bold_connectomes(
    files: BoldFiles,
    images: Mapping[str, Path],
    settings: FunctionalSettings,
    output_dir: Path,
) -> list[Path]:
    """Read a BOLD run once and write region series, coverage and connectomes per label image.

    Parameters
    ----------
    files : BoldFiles
        The run and what belongs to it.
    images : mapping of str to path
        Label image of each atlas, in the space of the run, on any grid.
    settings : FunctionalSettings
        How it is cleaned.
    output_dir : path
        Receives ``ATLAS_timeseries.tsv``, ``ATLAS_cleaned.tsv``, ``ATLAS_cleaned-gsr.tsv``,
        ``ATLAS_coverage.tsv`` and ``FLAVOR.tsv``, each with a ``.json``.

    Returns
    -------
    list of path
        The matrices.

    Raises
    ------
    SettingsError
        If a name is no name.
    InputError
        If a file is missing or broken, or the confounds are of another run.
    ConnectomeError
        If too few frames or regions are left.
    """
    _check_names(files, images, settings)
    bold = open_bold(files.bold, tr=None)
    _check_confounds(files.confounds, bold.shape[3])
    atlases = [read_atlas(name, path, bold, files.templates) for name, path in images.items()]
    series = read_region_series(
        bold,
        {atlas.name: atlas.regions for atlas in atlases},
        brain_mask=None if files.mask is None else mask_on_grid(files.mask, bold),
        tissues={name: mask_on_grid(path, bold) for name, path in files.tissues.items()},
    )
    sidecar = sidecar_path(files.confounds)
    pair = (files.confounds, sidecar if sidecar.is_file() else None)
    run = clean_series(series, pair, settings, tr=bold.tr, with_gsr=True)
    if run.missing_gsr:
        logger.warning("no flavor %s: %s", GSR, run.missing_gsr)
    writer = BoldWriter(files, settings, output_dir)
    return [
        path for atlas in atlases for path in _write_atlas(writer, atlas, series, run, files=files)
    ]


def _write_atlas(
    writer: BoldWriter,
    atlas: BoldAtlas,
    series: RegionSeries,
    run: CleanedRun,
    *,
    files: BoldFiles,
) -> list[Path]:
    """Write series, coverage and matrices of one atlas; returns the matrices."""
    settings = writer.settings
    tsnr = temporal_snr(series.means[atlas.name], run.plain.kept)
    writer.write_series(atlas, series, run, tsnr=tsnr)
    missing = find_uncovered(series.coverage[atlas.name], settings.min_coverage)
    judged = judge_length(
        f"{files.bold.name}, {atlas.name}",
        [run.plain],
        missing,
        tsnr=tsnr,
        min_minutes=settings.min_minutes,
    )
    places = list_form_doubts(files.bold, *([files.mask] if files.mask else []))
    judged["Warnings"] = [*atlas.warnings, *places, *judged["Warnings"]]
    written = []
    for flavor in list_flavors([atlas.name]):
        cleaned = run.gsr if flavor.processing == GSR else run.plain
        if flavor.group == "FC" and cleaned is not None:
            square, facts = compute_connectome(flavor, [cleaned], missing, settings.pcorr_lambda)
            facts |= judged
            written.append(
                writer.write_connectome(atlas, flavor, cleaned, square=square, facts=facts)
            )
    return written


def _check_names(
    files: BoldFiles, images: Mapping[str, Path], settings: FunctionalSettings
) -> None:
    """Refuse names that are no file names, and those that nothing goes by."""
    check_atlas_names(images)
    for option, found, known in (
        ("--tissue", files.tissues, TISSUES),
        ("--pcorr-lambda", settings.pcorr_lambda, tuple(images)),
    ):
        unknown = [name for name in found if name not in known]
        if unknown:
            raise SettingsError(
                f"{option}: expected names among {', '.join(known)}; found {', '.join(unknown)}."
            )


def _check_confounds(path: Path, n_volumes: int) -> None:
    """Compare the confounds with the run before it is read, which takes longest."""
    n_rows = len(next(iter(read_columns(path).values())))
    if n_rows != n_volumes:
        raise InputError(
            f"{path}: expected {n_volumes} rows of confounds, one per volume; found {n_rows}. "
            "Do the confounds belong to this run?"
        )
