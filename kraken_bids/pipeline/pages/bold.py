"""What a participant's report shows of the BOLD data: runs, frames, carpets, coverage."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import (
    frames_path,
    labels_path,
    sidecar_path,
    timeseries_path,
)
from kraken_bids.bids.read import read_columns, read_json, read_labels
from kraken_bids.connectome.slices import cut_slices
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import BrainPicture, Carpet, Coverage, Motion, RunRow

Entities = Mapping[str, str]
NOT_OF_A_RUN = ("sub", "ses", "space", "res", "atlas", "desc", "suffix", "extension")


def list_runs(written: Written) -> tuple[RunRow, ...]:
    """Every BOLD run that a connectome was measured from."""
    rows = {}
    for sidecar in written.measured.values():
        for run in sidecar.get("Runs", ()):
            entities = parse_name(run["File"])
            rows[run["File"]] = RunRow(
                task=entities.get("task", ""),
                run=entities.get("run", ""),
                space=entities.get("space", ""),
                file=run["File"],
                minutes=run["MinutesTotal"],
                minutes_kept=run["MinutesUsed"],
                tr=sidecar["RepetitionTime"],
                mean_fd=run["MeanFD"],
                n_outliers=run["VolumesTotal"] - run["VolumesUsed"],
                dvars=run.get("MeanDVARS"),
            )
    return tuple(rows[name] for name in sorted(rows))


def list_motion(written: Written) -> tuple[Motion, ...]:
    """Every run over time, once, with the carpet of its finest parcellation."""
    finest: dict[str, tuple[int, Entities]] = {}
    for path in sorted(written.folder.glob("func/*_atlas-*_timeseries.tsv")):
        entities = parse_name(path)
        if "desc" in entities or not frames_path(written.output_dir, entities).exists():
            continue
        n_regions = written.read_regions(entities["atlas"]).n_regions
        name = _name_run(entities)
        if n_regions > finest.get(name, (0, {}))[0]:
            finest[name] = n_regions, entities
    return tuple(_describe_run(written, name, finest[name][1]) for name in sorted(finest))


def list_coverage(written: Written) -> tuple[Coverage, ...]:
    """Coverage and temporal SNR of every region, with slices through them."""
    rows = []
    for path in sorted(written.folder.glob("func/*_coverage.tsv")):
        entities, columns = parse_name(path), read_columns(path)
        rows.append(
            Coverage(
                space=entities.get("space", ""),
                parcellation=entities["atlas"],
                share=columns["coverage"],
                region_names=written.read_regions(entities["atlas"]).region_names,
                threshold=read_json(sidecar_path(path))["CoverageMin"],
                tsnr=columns.get("tsnr"),
                slices=_cut(labels_path(written.output_dir, entities, entities["atlas"])),
            )
        )
    return tuple(rows)


def _describe_run(written: Written, name: str, entities: Entities) -> Motion:
    path = frames_path(written.output_dir, entities)
    columns, sidecar = read_columns(path), read_json(sidecar_path(path))
    return Motion(
        name=name,
        displacement=columns["framewise_displacement"],
        kept=columns["kept"] == 1,
        tr=sidecar["RepetitionTime"],
        threshold=sidecar.get("FDThreshold"),
        dvars=columns["std_dvars"],
        global_signal=columns["global_signal"],
        carpet=_read_carpet(written, entities),
    )


def _read_carpet(written: Written, entities: Entities) -> Carpet:
    parcellation = entities["atlas"]
    regions = written.read_regions(parcellation)
    before, after = (
        timeseries_path(written.output_dir, entities, parcellation, is_clean=is_clean)
        for is_clean in (False, True)
    )
    return Carpet(
        parcellation=parcellation,
        before=_read_series(before),
        after=_read_series(after) if after.exists() else None,
        region_groups=regions.groups,
        hemispheres=regions.hemispheres,
    )


def _read_series(path: Path) -> np.typing.NDArray[np.float64]:
    return np.stack(list(read_columns(path).values()), axis=1)


def _cut(path: Path) -> tuple[BrainPicture, ...]:
    if not path.exists():
        return ()
    return tuple(BrainPicture(**vars(one)) for one in cut_slices(*read_labels(path)))


def _name_run(entities: Entities) -> str:
    parts = [f"{key}-{value}" for key, value in entities.items() if key not in NOT_OF_A_RUN]
    return "_".join(parts) or "bold"
