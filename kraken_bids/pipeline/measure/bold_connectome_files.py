"""What ``kraken-tools fc`` writes: region series, coverage, matrices, what is known about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.transforms import TemplateOptions
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.connectome.matrices import find_missing_regions
from kraken_bids.flavors import Flavor, describe_flavor
from kraken_bids.io.files import make_folder
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.pipeline.measure.bold_atlases import BoldAtlas
from kraken_bids.pipeline.measure.bold_runs import CleanedRun
from kraken_bids.pipeline.measure.bold_sidecars import describe_cleaning, describe_series
from kraken_bids.pipeline.measure.tractogram_files import fingerprint
from kraken_bids.settings import FunctionalSettings


@dataclass(frozen=True)
class BoldFiles:
    """A preprocessed BOLD run and what belongs to it."""

    bold: Path
    confounds: Path
    """fMRIPrep's table; its ``.json`` is looked for beside it."""
    mask: Path | None = None
    """Brain mask; None: every voxel."""
    tissues: Mapping[str, Path] = field(default_factory=dict)
    """Probability image of ``GM``, ``WM``, ``CSF``."""
    templates: TemplateOptions = field(default_factory=TemplateOptions)
    """What is to be done with label images of another template."""


class BoldWriter:
    """Writes the outputs of one run.

    Parameters
    ----------
    files : BoldFiles
        The run.
    settings : FunctionalSettings
        How it was cleaned.
    output_dir : path
        Receives the files; made where it does not exist.
    """

    def __init__(self, files: BoldFiles, settings: FunctionalSettings, output_dir: Path) -> None:
        self._files = files
        self.settings = settings
        self._output_dir = output_dir
        self._sources = self._describe_sources()
        make_folder(output_dir)

    def write_series(
        self,
        atlas: BoldAtlas,
        series: RegionSeries,
        runs: CleanedRun,
        *,
        tsnr: NDArray[np.float64],
    ) -> None:
        """Write the region means before and after each cleaning, and the coverage."""
        words = "before cleaning, in the unit of the BOLD file"
        facts = {
            "Description": f"Mean of each region {words}",
            **describe_series(runs.plain),
            "ValuesNotFinite": series.n_not_finite,
        }
        self._write_means("timeseries", atlas, series.means, facts)
        for kind, run in (("cleaned", runs.plain), ("cleaned-gsr", runs.gsr)):
            if run is not None:
                self._write_means(kind, atlas, run.cleaned, self._describe_cleaned(run))
        self._write_coverage(atlas, series, tsnr)

    def _describe_cleaned(self, run: CleanRun) -> dict[str, Any]:
        words = (
            f"after cleaning, {'with' if run.gsr else 'without'} global signal regression; "
            "volumes that do not count (VolumesKept) hold filtered guesses"
        )
        return {
            "Description": f"Mean of each region {words}",
            **describe_series(run),
            **describe_cleaning([self._files.bold], [run], self.settings),
        }

    def _write_means(
        self,
        kind: str,
        atlas: BoldAtlas,
        means: Mapping[str, NDArray[np.float64]],
        facts: Mapping[str, Any],
    ) -> None:
        path = self._output_dir / f"{atlas.name}_{kind}.tsv"
        write_table(path, dict(zip(atlas.region_names, means[atlas.name].T, strict=True)))
        self._write_sidecar(path, atlas, facts)

    def write_connectome(
        self,
        atlas: BoldAtlas,
        flavor: Flavor,
        run: CleanRun,
        *,
        square: NDArray[np.float64],
        facts: Mapping[str, object],
    ) -> Path:
        """Write a matrix and everything that one must know to judge it; returns its path."""
        path = self._output_dir / f"{flavor.name}.tsv"
        write_relmat(path, square)
        missing = find_missing_regions(square)
        known = {
            "Flavor": flavor.name,
            "Description": describe_flavor(flavor),
            **describe_cleaning([self._files.bold], [run], self.settings),
            **facts,
            "Regions": atlas.region_names,
            "MissingRegions": [
                name for name, gone in zip(atlas.region_names, missing, strict=True) if gone
            ],
        }
        self._write_sidecar(path, atlas, known)
        return path

    def _write_coverage(
        self, atlas: BoldAtlas, series: RegionSeries, tsnr: NDArray[np.float64]
    ) -> None:
        path = self._output_dir / f"{atlas.name}_coverage.tsv"
        write_table(path, {
            "index": atlas.values,
            "name": atlas.region_names,
            "n_voxels": series.n_voxels[atlas.name].tolist(),
            "coverage": series.coverage[atlas.name].round(4).tolist(),
            "tsnr": tsnr.round(3).tolist(),
        })  # fmt: skip
        self._write_sidecar(path, atlas, {
            "Description": "Share of each region, as its label image holds it, that lies "
            "inside the field of view and the brain mask and holds signal",
            "tsnr": {"Description": "mean over SD in time of the region's mean before cleaning, "
                     "over the volumes that count"},
            "CoverageMin": self.settings.min_coverage,
        })  # fmt: skip

    def _write_sidecar(self, path: Path, atlas: BoldAtlas, known: Mapping[str, Any]) -> None:
        described = {**known, "Atlas": atlas.name, "LabelImage": fingerprint(atlas.path)}
        if atlas.transforms:
            described["Transforms"] = [fingerprint(path) for path in atlas.transforms]
        if atlas.names_file is not None:
            described["RegionNames"] = fingerprint(atlas.names_file)
        # Not sidecar_path: the name of an atlas may hold a dot.
        write_json(path.with_suffix(".json"), described | self._sources)

    def _describe_sources(self) -> dict[str, Any]:
        files = self._files
        described: dict[str, Any] = {
            "Bold": fingerprint(files.bold),
            "ConfoundsFile": fingerprint(files.confounds),
        }
        if files.mask is not None:
            described["Mask"] = fingerprint(files.mask)
        if files.tissues:
            described["Tissues"] = {name: fingerprint(p) for name, p in files.tissues.items()}
        return described | {"GeneratedBy": {"Name": "kraken_bids", "Version": __version__}}
