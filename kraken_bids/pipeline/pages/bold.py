"""What a participant's report shows of the BOLD data: runs, frames, carpets, coverage."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import frames_path, labels_path, sidecar_path, timeseries_path
from kraken_bids.connectome.labels.slices import cut_slices
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.io.images import read_labels
from kraken_bids.io.tables import read_columns
from kraken_bids.pipeline.pages.tables import read_or_none
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import BrainPicture, Carpet, Coverage, Motion, RunRow

Entities = Mapping[str, str]
OF_FRAMES = ("framewise_displacement", "std_dvars", "global_signal", "kept")
NOT_OF_A_RUN = ("sub", "ses", "space", "cohort", "res", "atlas", "desc", "suffix", "extension")


def list_runs(written: Written) -> tuple[RunRow, ...]:
    """Every BOLD run that a connectome was measured from."""
    rows = {}
    for sidecar in written.measured.values():
        for run in sidecar.parts("Runs"):
            minutes, kept = run.number("MinutesTotal"), run.number("MinutesUsed")
            total, used = run.count("VolumesTotal"), run.count("VolumesUsed")
            file = run.text("File")
            if not file or minutes is None or kept is None:
                continue  # of another tool
            entities = parse_name(file)
            rows[file] = RunRow(
                task=entities.get("task", ""),
                run=entities.get("run", ""),
                space=full_space(entities),
                file=file,
                minutes=minutes,
                minutes_kept=kept,
                tr=run.number("RepetitionTime") or sidecar.number("RepetitionTime"),
                mean_fd=run.number("MeanFD"),
                n_outliers=None if total is None or used is None else total - used,
                dvars=run.number("MeanDVARS"),
            )
    return tuple(rows[name] for name in sorted(rows))


def list_motion(written: Written) -> tuple[Motion, ...]:
    """Every run over time, once, with the carpet of its finest parcellation."""
    finest: dict[str, tuple[int, Entities]] = {}
    for path in written.list_files("func/*_atlas-*_timeseries.tsv"):
        entities = parse_name(path)
        if (
            "desc" in entities
            or "atlas" not in entities
            or not frames_path(written.output_dir, entities).exists()
        ):
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
        entities = parse_name(path)
        names = written.read_regions(entities.get("atlas", "")).region_names
        columns = read_or_none(partial(_read_coverage, path, len(names)))
        if columns is None:
            continue
        picture = labels_path(written.output_dir, entities, entities["atlas"])
        rows.append(
            Coverage(
                space=full_space(entities),
                parcellation=entities["atlas"],
                share=columns["coverage"],
                region_names=names,
                threshold=read_facts(sidecar_path(path)).number("CoverageMin") or 0.0,
                tsnr=columns.get("tsnr"),
                slices=_cut(picture, len(names)),
            )
        )
    return tuple(rows)


def _read_coverage(path: Path, n_regions: int) -> dict[str, NDArray[Any]]:
    columns = read_table(path, numbers=("coverage",))
    if len(columns["coverage"]) != n_regions:
        raise InputError(
            f"expected {n_regions} regions in {path}; found {len(columns['coverage'])}. The file "
            "is cut: measure it again with --force."
        )
    return columns


def _describe_run(written: Written, name: str, entities: Entities) -> Motion | None:
    path = frames_path(written.output_dir, entities)
    columns = read_or_none(partial(read_table, path, numbers=OF_FRAMES))
    sidecar = read_facts(sidecar_path(path))
    tr = sidecar.number("RepetitionTime")
    if columns is None or not len(columns["kept"]) or not tr:
        return None
    return Motion(
        name=name,
        displacement=columns["framewise_displacement"],
        kept=columns["kept"] == 1,
        tr=tr,
        threshold=sidecar.number("FDThreshold"),
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
        if series.dtype.kind != "f" or series.shape != (n_volumes, regions.n_regions):
            raise InputError(
                f"expected {n_volumes} volumes of {regions.n_regions} regions in {path}; found "
                f"shape {series.shape}. The file is cut: measure it again with --force."
            )
        return series

    series = read_or_none(partial(read, before))
    if series is None:
        return None
    cleaned = read_or_none(partial(read, after)) if after.exists() else None
    return Carpet(parcellation, series, cleaned, regions.groups, regions.hemispheres)


def _cut(path: Path, n_regions: int) -> tuple[BrainPicture, ...]:
    image = read_or_none(partial(read_labels, path)) if path.exists() else None
    if image is None or image[0].max(initial=0) > n_regions:
        return ()
    return tuple(BrainPicture(**vars(one)) for one in cut_slices(*image))


def _name_run(entities: Entities) -> str:
    parts = [f"{key}-{value}" for key, value in entities.items() if key not in NOT_OF_A_RUN]
    return "_".join(parts) or "bold"
