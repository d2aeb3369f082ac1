"""From the BOLD runs of one task to its functional connectomes: each run is read once."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.cohort.measurements import CleaningRecord, FunctionalRecord
from kraken_bids.connectome.functional.bold_quality import find_uncovered
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.connectome.functional.correlations import (
    CORRELATION,
    PARTIAL_CORRELATION,
    compute_correlation,
    compute_partial_correlation,
    concatenate_runs,
    partial_correlation_ridge,
)
from kraken_bids.exceptions import TooShortError
from kraken_bids.flavors import Flavor
from kraken_bids.io.image_values import list_form_doubts
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.atlas_coverage import MeasuredAtlas, cover_atlas, lay_lesion
from kraken_bids.pipeline.measure.bold_grids import Grids
from kraken_bids.pipeline.measure.bold_records import (
    add_lesion,
    describe_cleaning,
    judge_length,
    note_lesion,
)
from kraken_bids.pipeline.measure.bold_runs import GSR, MeasuredRun, read_run
from kraken_bids.pipeline.measure.identified_images import list_doubts
from kraken_bids.pipeline.measure.parcellated_runs import read_parcellated_run
from kraken_bids.settings import FunctionalSettings
from kraken_bids.shared_work import share_work

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunGroup:
    """The runs of one task in one space: what is concatenated into one connectome."""

    task: str
    space: str
    runs: tuple[BoldRun, ...]
    labels: Mapping[str, LabelImage]
    """Label image per parcellation; none where the runs are series of an atlas."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """BOLD file to why it could not be used; names do not depend on it."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """4D image of each probabilistic atlas."""

    @property
    def atlases(self) -> tuple[str, ...]:
        """Atlases that it is measured in."""
        return (*self.labels, *self.maps) or self.runs[0].atlases

    @property
    def entities(self) -> dict[str, str]:
        """Entities of the group's files: those that its runs share, without ``run`` if several."""
        first, *others = (run.entities for run in self.runs)
        kept = {k: v for k, v in first.items() if all(run.get(k) == v for run in others)}
        if others:
            kept.pop("run", None)
        return kept


@dataclass(frozen=True)
class FunctionalConnectome:
    """A connectome and what is known of it."""

    flavor: Flavor
    series: NDArray[np.float64]
    """[n_frames, n_regions] Of the frames that count; NaN where regions are missing."""
    square: NDArray[np.float64]
    """[n_regions, n_regions] NaN rows and columns where regions are missing."""
    cleaning: CleaningRecord
    record: FunctionalRecord


@dataclass(frozen=True)
class MeasuredGroup:
    """The runs of a group, cleaned, and its atlases."""

    group: RunGroup
    runs: tuple[MeasuredRun, ...]
    atlases: Mapping[str, MeasuredAtlas]
    settings: FunctionalSettings

    def connectomes(
        self,
        parcellation: Parcellation,
        flavors: Sequence[Flavor],
        *,
        label: str,
        saved_ridges: Mapping[str, float],
    ) -> Iterator[FunctionalConnectome]:
        """Yield the connectomes of an atlas; those whose cleaning cannot be had are left out.

        Raises
        ------
        ConnectomeError
            If too few frames or regions are left.
        """
        name, plain = parcellation.name, [run.plain for run in self.runs]
        atlas, sources = self.atlases[name], [run.source for run in self.runs]
        missing = find_uncovered(atlas.coverage, self.settings.min_coverage)
        record = judge_length(
            label, plain, missing, tsnr=atlas.tsnr, min_minutes=self.settings.min_minutes
        )
        image = self.group.labels.get(name)
        doubts = [
            *(list_doubts(image.path, parcellation, of_bold=True) if image else ()),
            *list_form_doubts(*(path for source in sources for path in source.files)),
            *(f"{file} is left out: {why}" for file, why in self.group.left_out.items()),
        ]
        record = replace(record, warnings=(*doubts, *record.warnings))
        if atlas.lesioned is not None:
            record = add_lesion(
                record, atlas.lesioned, parcellation.region_names, volume=atlas.lesion_volume
            )
            logger.warning("%s: %s", label, record.warnings[0])
        for flavor in flavors:
            cleaned = [one for run in self.runs if (one := run.cleaned(flavor)) is not None]
            if len(cleaned) == len(self.runs):
                cleaning = describe_cleaning(sources, cleaned, self.settings)
                if atlas.lesioned is not None:
                    cleaning = replace(cleaning, notes=(*cleaning.notes, *note_lesion(cleaned)))
                yield compute_connectome(
                    flavor,
                    cleaned,
                    missing,
                    cleaning=cleaning,
                    record=record,
                    ridges=(self.settings.pcorr_lambda, saved_ridges),
                )


def measure_group(
    group: RunGroup,
    parcellation_of: Callable[[str], Parcellation],
    settings: FunctionalSettings,
    *,
    label: str,
    with_gsr: bool,
    n_threads: int = 1,
) -> MeasuredGroup:
    """Read and clean the runs of a group; those that are too short are named and left out.

    ``parcellation_of`` gives the regions of an atlas by its name; ``label`` says in the log whose
    data they are. With ``with_gsr`` the global signal is regressed too, beside the plain cleaning.
    Of ``n_threads`` each reads a run.

    Raises
    ------
    InputError
        If a file is missing or broken, or the confounds are of another run.
    ConnectomeError
        If the confounds do not fit, or every run is too short (TooShortError).
    """
    grids = Grids(group.labels, parcellation_of, group.maps)

    def read(run: BoldRun) -> MeasuredRun | TooShortError:
        try:
            return (
                read_parcellated_run(run, parcellation_of(run.atlas), settings)
                if run.atlas
                else read_run(run, grids, settings, label=label, with_gsr=with_gsr)
            )
        except TooShortError as error:
            return error

    runs: list[MeasuredRun] = []
    left_out: dict[str, str] = {}
    for run, measured in zip(group.runs, share_work(read, group.runs, n_threads), strict=True):
        if isinstance(measured, MeasuredRun):
            runs.append(measured)
            continue
        if len(left_out) + 1 == len(group.runs):
            raise measured
        left_out[run.bold.name] = str(measured)
        logger.warning("%s: %s is left out: %s", label, run.bold.name, measured)
    atlases = {name: cover_atlas(runs, name) for name in group.atlases}
    if group.labels:
        affine, regions, inside = grids.laid(runs[0].source)
        for name in group.labels:
            atlases[name] = lay_lesion(atlases[name], affine, regions[name], inside)
    return MeasuredGroup(replace(group, left_out=left_out), tuple(runs), atlases, settings)


def needs_gsr(flavors: Sequence[Flavor]) -> bool:
    """Whether a flavor needs global signal regression."""
    return any(flavor.processing == GSR for flavor in flavors)


def compute_connectome(
    flavor: Flavor,
    runs: Sequence[CleanRun],
    missing: NDArray[np.bool_],
    *,
    cleaning: CleaningRecord,
    record: FunctionalRecord,
    ridges: tuple[Mapping[str, float], Mapping[str, float]],
) -> FunctionalConnectome:
    """Compute the connectome of a flavor from cleaned runs, one after the other.

    ``missing`` ``[n_regions]`` are the regions without data; ``ridges`` the λ that the user chose
    and those that were saved, by atlas.

    Raises
    ------
    ConnectomeError, NotImplementedError
        As of :func:`correlate`.
    """
    series = concatenate_runs(
        [run.cleaned[flavor.parcellation] for run in runs], [run.kept for run in runs]
    )
    series[:, missing] = np.nan
    record = replace(record, frames=len(series))
    if flavor.measure == PARTIAL_CORRELATION:
        ridge, origin = partial_correlation_ridge(flavor.parcellation, *ridges)
        record = replace(record, lambda_=ridge, lambda_source=origin)
    square = correlate(series, flavor, record.lambda_)
    return FunctionalConnectome(flavor, series, square, cleaning, record)


def correlate(
    series: NDArray[np.float64], flavor: Flavor, ridge: float | None
) -> NDArray[np.float64]:
    """Matrix of a flavor of region series [n_frames, n_regions]; ``ridge`` is its λ, if any.

    Raises
    ------
    ConnectomeError
        If too few frames or regions are left.
    NotImplementedError
        If nothing computes the flavor's measure.
    """
    if flavor.measure not in {CORRELATION, PARTIAL_CORRELATION}:
        raise NotImplementedError(f"{flavor}: its measure is in data/measures.tsv only")
    square = compute_correlation(series)
    return square if ridge is None else compute_partial_correlation(square, ridge=ridge)
