"""``kraken-tools fc``: one BOLD run, any label images, and the files of their connectomes."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.bids.transforms import TemplateOptions, match_spaces
from kraken_bids.cohort.measurements import CLEANING
from kraken_bids.cohort.output_checks import check_atlas_names
from kraken_bids.cohort.sidecar_records import GENERATED_BY, REGIONS
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.connectome.matrices import find_missing_regions
from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import describe_flavor, list_flavors
from kraken_bids.io.digests import fingerprint
from kraken_bids.io.files import make_folder
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.measure.bold_atlases import BoldAtlas, read_atlas, read_maps
from kraken_bids.pipeline.measure.bold_grids import TISSUES
from kraken_bids.pipeline.measure.bold_records import (
    CLEANED,
    COVERAGE,
    LESIONED,
    TSNR,
    describe_cleaning,
    describe_series,
)
from kraken_bids.pipeline.measure.bold_runs import can_give
from kraken_bids.pipeline.measure.functional_connectomes import (
    FunctionalConnectome,
    MeasuredGroup,
    RunGroup,
    measure_group,
)
from kraken_bids.pipeline.measure.probabilistic_atlases import EXTRACTION
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

MEAN, WEIGHT = "Mean of each region", "Least-squares weight of each map"


def write_bold_connectomes(
    run: BoldRun,
    images: Mapping[str, Path],
    settings: FunctionalSettings,
    output_dir: Path,
    *,
    templates: TemplateOptions,
    maps: Mapping[str, Path] = MappingProxyType({}),
) -> list[Path]:
    """Read a BOLD run once and write region series, coverage and connectomes per atlas.

    Parameters
    ----------
    run : BoldRun
        Its labels are not read.
    images : mapping of str to path
        Label image of each atlas, in the space of the run or a template that leads there.
    output_dir : path
        Receives ``ATLAS_timeseries.tsv``, ``ATLAS_cleaned.tsv``, ``ATLAS_cleaned-gsr.tsv``,
        ``ATLAS_coverage.tsv`` and ``FLAVOR.tsv``, each with a ``.json``.
    templates : TemplateOptions
        What is to be done with label images of another template.
    maps : mapping of str to path
        4D image of each probabilistic atlas, in the space of the run.

    Raises
    ------
    SettingsError
        If a name is no name, or there is no atlas.
    InputError
        If a file is missing or broken, or the confounds are of another run.
    ConnectomeError
        If too few frames or regions are left.
    """
    _check_names(run, images, maps, settings)
    is_placed = open_bold(run.bold, tr=None).is_placed
    atlases = {
        name: read_atlas(name, path, run, templates=templates, needs_place=is_placed)
        for name, path in images.items()
    }
    labels = {name: atlas.image for name, atlas in atlases.items()}
    atlases |= {name: read_maps(name, path, run, templates) for name, path in maps.items()}
    if run.lesion is not None:
        steps, remark = match_spaces(run.lesion.path, run.space, templates)
        run = replace(run, lesion=replace(run.lesion, transforms=steps))
        if remark:
            logger.warning("%s: %s", run.bold, remark)
    measured = measure_group(
        RunGroup("", run.space, (run,), labels, maps=maps),
        lambda name: atlases[name].parcellation,
        settings,
        label=run.bold.name,
        with_gsr=True,
    )
    make_folder(output_dir)
    writer = _Writer(measured, output_dir)
    return [path for atlas in atlases.values() for path in writer.write(atlas)]


def _check_names(
    run: BoldRun,
    images: Mapping[str, Path],
    maps: Mapping[str, Path],
    settings: FunctionalSettings,
) -> None:
    """Refuse names that are no file names, and those that nothing goes by."""
    both = [name for name in maps if name in images or name in list_parcellations()]
    if both:
        raise SettingsError(
            f"--maps: expected a name that no other atlas has; found {both[0]}. Give another one."
        )
    if not images and not maps:
        raise SettingsError("expected --labels ATLAS=IMAGE or --maps ATLAS=IMAGE; found neither.")
    check_atlas_names({**images, **maps})
    for option, found, known in (
        ("--tissue", run.tissue, TISSUES),
        ("--pcorr-lambda", settings.pcorr_lambda, (*images, *maps)),
    ):
        unknown = [name for name in found if name not in known]
        if unknown:
            raise SettingsError(
                f"{option}: expected names among {', '.join(known)}; found {', '.join(unknown)}."
            )


class _Writer:
    """Writes what was measured of one run into a folder."""

    def __init__(self, measured: MeasuredGroup, output_dir: Path) -> None:
        self._measured = measured
        self._run = measured.runs[0]
        self._output_dir = output_dir
        self._sources = _describe_sources(self._run.source)

    def write(self, atlas: BoldAtlas) -> Iterator[Path]:
        """Write everything of an atlas; the paths of its matrices."""
        run = self._run
        self._write_means("timeseries", atlas, run.series.means, {
            "Description": "Mean of each region before cleaning, in the unit of the BOLD file",
            **describe_series(run.plain, run.source.metadata),
            "ValuesNotFinite": run.series.n_not_finite,
        })  # fmt: skip
        for kind, cleaned in (("cleaned", run.plain), ("cleaned-gsr", run.gsr)):
            if cleaned is not None:
                self._write_means(kind, atlas, cleaned.cleaned, self._describe_cleaned(cleaned))
        self._write_coverage(atlas)
        for found in self._measured.connectomes(
            atlas.parcellation,
            [
                flavor
                for flavor in list_flavors([atlas.name])
                if flavor.group == "FC" and can_give(run.source, flavor)
            ],
            label=f"{run.source.bold.name}, {atlas.name}",
            saved_ridges={},
        ):
            yield self._write_connectome(atlas, found)

    def _describe_cleaned(self, run: CleanRun) -> dict[str, Any]:
        cleaning = describe_cleaning([self._run.source], [run], self._measured.settings)
        return {
            "Description": CLEANED.format("with" if run.gsr else "without"),
            **describe_series(run, self._run.source.metadata),
            **to_sidecar(cleaning),
        }

    def _write_means(
        self,
        kind: str,
        atlas: BoldAtlas,
        means: Mapping[str, NDArray[np.float64]],
        facts: Mapping[str, Any],
    ) -> None:
        path = self._output_dir / f"{atlas.name}_{kind}.tsv"
        if atlas.has_maps:
            facts = {**facts, "Description": facts["Description"].replace(MEAN, WEIGHT)}
        names = atlas.parcellation.region_names
        write_table(path, dict(zip(names, means[atlas.name].T, strict=True)))
        self._write_sidecar(path, atlas, facts)

    def _write_coverage(self, atlas: BoldAtlas) -> None:
        path = self._output_dir / f"{atlas.name}_coverage.tsv"
        write_table(path, self._measured.atlases[atlas.name].table(atlas.parcellation))
        self._write_sidecar(path, atlas, {
            "Description": COVERAGE,
            "tsnr": {"Description": TSNR},
            **({} if self._run.source.lesion is None else {"lesioned": LESIONED}),
            CLEANING.coverage_min: self._measured.settings.min_coverage,
        })  # fmt: skip

    def _write_connectome(self, atlas: BoldAtlas, found: FunctionalConnectome) -> Path:
        """Write a matrix and everything that one must know to judge it."""
        path = self._output_dir / f"{found.flavor.name}.tsv"
        write_relmat(path, found.square)
        names = atlas.parcellation.region_names
        missing = find_missing_regions(found.square)
        remarks = (atlas.remark,) if atlas.remark else ()
        record = replace(found.record, warnings=(*remarks, *found.record.warnings))
        self._write_sidecar(path, atlas, {
            "Flavor": found.flavor.name,
            "Description": describe_flavor(found.flavor),
            **to_sidecar(found.cleaning),
            **to_sidecar(record),
            "Regions": names,
            REGIONS.missing_regions: [n for n, gone in zip(names, missing, strict=True) if gone],
        })  # fmt: skip
        return path

    def _write_sidecar(self, path: Path, atlas: BoldAtlas, known: Mapping[str, Any]) -> None:
        image = "Maps" if atlas.has_maps else "LabelImage"
        described = {**known, "Atlas": atlas.name, image: fingerprint(atlas.image.path)}
        if atlas.has_maps:
            described["Extraction"] = EXTRACTION
        if atlas.image.transforms:
            described["Transforms"] = [fingerprint(path) for path in atlas.image.transforms]
        if atlas.names_file is not None:
            described["RegionNames"] = fingerprint(atlas.names_file)
        # Not sidecar_path: the name of an atlas may hold a dot.
        write_json(path.with_suffix(".json"), described | self._sources)


def _describe_sources(run: BoldRun) -> dict[str, Any]:
    described: dict[str, Any] = {"Bold": fingerprint(run.bold)}
    if run.confounds is not None:
        described["ConfoundsFile"] = fingerprint(run.confounds)
    if run.cleaned is not None:
        described["VolumeTables"] = [fingerprint(path) for path in run.cleaned.files]
    if run.lesion is not None:
        described["LesionMask"] = fingerprint(run.lesion.path)
    if run.mask is not None:
        described["Mask"] = fingerprint(run.mask)
    if run.tissue:
        described["Tissues"] = {name: fingerprint(path) for name, path in run.tissue.items()}
    return described | GENERATED_BY
