"""What a participant's report shows of the BOLD data: runs, frames, carpets, coverage."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import (
    frames_path,
    labels_path,
    sidecar_path,
    timeseries_path,
)
from kraken_bids.bids.read import read_columns, read_json, read_labels
from kraken_bids.connectome.slices import cut_slices
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import BrainPicture, Carpet, Coverage, Motion, RunRow

logger = logging.getLogger(__name__)

T = TypeVar("T")
Entities = Mapping[str, str]
NOT_OF_A_RUN = ("sub", "ses", "space", "cohort", "res", "atlas", "desc", "suffix", "extension")


def list_runs(written: Written) -> tuple[RunRow, ...]:
    """Every BOLD run that a connectome was measured from."""
    rows = {}
    for sidecar in written.measured.values():
        for run in sidecar.get("Runs", ()):
            entities = parse_name(run["File"])
            rows[run["File"]] = RunRow(
                task=entities.get("task", ""),
                run=entities.get("run", ""),
                space=full_space(entities),
                file=run["File"],
                minutes=run["MinutesTotal"],
                minutes_kept=run["MinutesUsed"],
                tr=run.get("RepetitionTime") or sidecar["RepetitionTime"],
                mean_fd=run["MeanFD"],
                n_outliers=run["VolumesTotal"] - run["VolumesUsed"],
                dvars=run.get("MeanDVARS"),
            )
    return tuple(rows[name] for name in sorted(rows))


def list_motion(written: Written) -> tuple[Motion, ...]:
    """Every run over time, once, with the carpet of its finest parcellation."""
    finest: dict[str, tuple[int, Entities]] = {}
    for path in written.list_files("func/*_atlas-*_timeseries.tsv"):
        entities = parse_name(path)
        if "desc" in entities or not frames_path(written.output_dir, entities).exists():
            continue
        n_regions = written.read_regions(entities["atlas"]).n_regions
        name = _name_run(entities)
        if n_regions > finest.get(name, (0, {}))[0]:
            finest[name] = n_regions, entities
    runs = (_describe_run(written, name, finest[name][1]) for name in sorted(finest))
    return tuple(run for run in runs if run)


def list_coverage(written: Written) -> tuple[Coverage, ...]:
    """Coverage and temporal SNR of every region, with slices through them."""
    rows = []
    for path in written.list_files("func/*_coverage.tsv"):
        entities, columns = parse_name(path), read_columns(path)
        rows.append(
            Coverage(
                space=full_space(entities),
                parcellation=entities["atlas"],
                share=columns["coverage"],
                region_names=written.read_regions(entities["atlas"]).region_names,
                threshold=read_json(sidecar_path(path))["CoverageMin"],
                tsnr=columns.get("tsnr"),
                slices=_cut(labels_path(written.output_dir, entities, entities["atlas"])),
            )
        )
    return tuple(rows)


def _describe_run(written: Written, name: str, entities: Entities) -> Motion | None:
    path = frames_path(written.output_dir, entities)
    columns, sidecar = _read_or_none(read_columns, path), read_json(sidecar_path(path))
    if columns is None:
        return None
    return Motion(
        name=name,
        displacement=columns["framewise_displacement"],
        kept=columns["kept"] == 1,
        tr=sidecar["RepetitionTime"],
        threshold=sidecar.get("FDThreshold"),
        dvars=columns["std_dvars"],
        global_signal=columns["global_signal"],
        carpet=_read_carpet(written, entities, len(columns["kept"])),
    )


def _read_carpet(written: Written, entities: Entities, n_volumes: int) -> Carpet | None:
    parcellation = entities["atlas"]
    regions = written.read_regions(parcellation)
    before, after = (
        timeseries_path(written.output_dir, entities, parcellation, is_clean=is_clean)
        for is_clean in (False, True)
    )

    def read(path: Path) -> NDArray[np.float64]:
        series = np.stack(list(read_columns(path).values()), axis=1)
        if series.shape != (n_volumes, regions.n_regions):
            raise InputError(
                f"expected {n_volumes} volumes of {regions.n_regions} regions in {path}; found "
                f"shape {series.shape}. The file is cut: measure it again with --force."
            )
        return series

    series = _read_or_none(read, before)
    if series is None:
        return None
    cleaned = _read_or_none(read, after) if after.exists() else None
    return Carpet(parcellation, series, cleaned, regions.groups, regions.hemispheres)


def _cut(path: Path) -> tuple[BrainPicture, ...]:
    image = _read_or_none(read_labels, path) if path.exists() else None
    return () if image is None else tuple(BrainPicture(**vars(one)) for one in cut_slices(*image))


def _read_or_none(read: Callable[[Path], T], path: Path) -> T | None:
    """Read a file; None where it is broken, so that the rest can be shown."""
    try:
        return read(path)
    except InputError as error:
        logger.warning("left out of the report: %s", error)
        return None


def _name_run(entities: Entities) -> str:
    parts = [f"{key}-{value}" for key, value in entities.items() if key not in NOT_OF_A_RUN]
    return "_".join(parts) or "bold"
