"""The files of functional connectomes: region series, coverage, matrices, and their sidecars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.functional_labels import note_other_template
from kraken_bids.bids.inputs import BoldRun, LabelImage
from kraken_bids.bids.outputs import coverage_path, relmat_path, sidecar_path, timeseries_path
from kraken_bids.cohort.sidecars import forget_digest, matrix_sidecar, size_of
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.pipeline.measure.bold_runs import GSR
from kraken_bids.pipeline.measure.bold_sidecars import describe_cleaning, describe_series
from kraken_bids.pipeline.measure.tasks import SessionTask


@dataclass(frozen=True)
class RunGroup:
    """The runs of one task in one space: what is concatenated into one connectome."""

    task: str
    space: str
    runs: tuple[BoldRun, ...]
    labels: Mapping[str, LabelImage]
    """Label image per parcellation."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """BOLD file to why it could not be used; names do not depend on it."""

    def list_left_out(self) -> list[str]:
        """Say which runs were not used."""
        return [f"{file} is left out: {why}" for file, why in self.left_out.items()]

    @property
    def entities(self) -> dict[str, str]:
        """Entities of the group's files: those that its runs share, without ``run`` if several."""
        first, *others = (run.entities for run in self.runs)
        kept = {k: v for k, v in first.items() if all(run.get(k) == v for run in others)}
        if others:
            kept.pop("run", None)
        return kept


@dataclass(frozen=True)
class MeasuredRun:
    """One run, read and cleaned."""

    source: BoldRun
    series: RegionSeries
    plain: CleanRun
    """Cleaned without global signal regression."""
    gsr: CleanRun | None
    """Cleaned with it; None where it is not wanted or cannot be had."""

    def cleaned(self, flavor: Flavor) -> CleanRun:
        """Return the cleaning that a flavor is computed from."""
        return self.gsr if flavor.processing == GSR and self.gsr else self.plain


def write_timeseries(task: SessionTask, run: MeasuredRun, digest: str) -> None:
    """Write the region means of a run before cleaning, with motion in the sidecar."""
    for parcellation, means in run.series.means.items():
        path = timeseries_path(task.settings.data.output_dir, run.source.entities, parcellation)
        names = task.parcellation(parcellation).region_names
        write_table(path, dict(zip(names, means.T, strict=True)))
        write_json(sidecar_path(path), {
            "Description": "Mean of each region before cleaning, in the unit of the BOLD file",
            **describe_series(run.plain),
            "ValuesNotFinite": run.series.n_not_finite,
            "Sources": task.uris([run.source.bold]),
            "RunDigest": digest,
        })  # fmt: skip


def write_coverage(
    task: SessionTask,
    group: RunGroup,
    parcellation: str,
    *,
    coverage: NDArray[np.float64],
    tsnr: NDArray[np.float64],
    runs: Sequence[MeasuredRun],
) -> None:
    """Write how much of each region the data cover, and its temporal signal-to-noise ratio."""
    path = coverage_path(task.settings.data.output_dir, group.entities, parcellation)
    table = task.parcellation(parcellation)
    write_table(path, {
        "index": list(table.indices),
        "name": list(table.region_names),
        "n_voxels": runs[0].series.n_voxels[parcellation].tolist(),
        "coverage": coverage.round(4).tolist(),
        "tsnr": tsnr.round(3).tolist(),
    })  # fmt: skip
    write_json(sidecar_path(path), {
        "Description": "Share of each region, as its label image holds it, that lies "
            "inside the field of view and the brain mask and holds signal",
        "coverage": {"Description": "smallest share over the runs"},
        "tsnr": {"Description": "mean over SD in time of the region's mean before cleaning, over "
                 "the volumes that count, averaged over runs"},
        "CoverageMin": task.settings.functional.min_coverage,
        "Sources": task.uris([run.source.bold for run in runs]),
    })  # fmt: skip


def write_connectome(
    task: SessionTask,
    group: RunGroup,
    flavor: Flavor,
    *,
    square: NDArray[np.float64],
    runs: Sequence[MeasuredRun],
    facts: Mapping[str, object],
) -> None:
    """Write one functional connectome and everything that one must know to judge it."""
    path = relmat_path(task.settings.data.output_dir, group.entities, flavor, source=None)
    forget_digest(path)
    write_relmat(path, square, header=task.header(flavor.parcellation))
    sidecar = _describe(task, group, flavor, runs)
    write_json(sidecar_path(path), sidecar | dict(facts) | size_of(path))


def _describe(
    task: SessionTask, group: RunGroup, flavor: Flavor, runs: Sequence[MeasuredRun]
) -> dict[str, object]:
    image = group.labels[flavor.parcellation]
    settings = task.settings.functional
    files = [path for run in runs for path in run.source.files]
    cleaned = [run.cleaned(flavor) for run in runs]
    cleaning = describe_cleaning([run.source.bold for run in runs], cleaned, settings)
    return {
        **matrix_sidecar(flavor),
        "Predicted": False,
        "NonNegative": False,
        "Sources": task.uris([*files, image.path, *image.transforms]),
        "Space": group.space,
        "AtlasSpace": image.space,
        **cleaning,
        "RunsLeftOut": [{"File": name, "Reason": why} for name, why in group.left_out.items()],
        "Notes": [*note_other_template(image, group.space), *cleaning["Notes"]],
        **task.software(),
    }
