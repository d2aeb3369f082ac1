"""The measuring stages of the app as nipype interfaces: files in, files of the app's names out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    OutputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import find_relmats, sidecar_path
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.bids.transforms import TemplateOptions, find_label_space, match_spaces
from kraken_bids.cohort.volume_times import START, find_start
from kraken_bids.exceptions import InputError
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline.measure.bold_grids import TISSUES
from kraken_bids.pipeline.measure.bold_session import measure_functional
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.measure.tractogram_session import measure_structural
from kraken_bids.settings import DataSettings, FunctionalSettings, Settings, StructuralSettings

ENTITIES_OF_THE_RUN = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")
"""What the names of the outputs keep of the name of a source."""


class _MeasureFunctionInputs(BaseInterfaceInputSpec):  # type: ignore[misc]
    bold_file = InputMultiObject(
        File(exists=True), mandatory=True, desc="preprocessed BOLD, one file per run"
    )
    source_file = InputMultiObject(
        traits.Str, desc="BIDS name of each run, for the names of the outputs  [bold_file]"
    )
    metadata = InputMultiObject(
        traits.Dict, desc="BIDS metadata of each run  [its sidecar or its header]"
    )
    slice_time_ref = traits.Either(
        None, traits.Range(0.0, 1.0), usedefault=True, desc="where slices were brought to"
    )
    bold_mask = InputMultiObject(File(exists=True), desc="brain mask of each run")
    confounds_file = InputMultiObject(
        File(exists=True), mandatory=True, desc="fMRIPrep's confounds, one table per run"
    )
    confounds_metadata = InputMultiObject(
        traits.Dict, desc="metadata of each table  [the .json beside it]"
    )
    tpms = InputMultiObject(
        File(exists=True), desc="probability of GM, WM and CSF in the space of the BOLD"
    )
    atlases = traits.List(traits.Str, mandatory=True, desc="parcellations")
    dsegs = InputMultiObject(
        File(exists=True), mandatory=True, desc="label image of each, in this space, on any grid"
    )
    fsnative2t1w_xfm = File(
        exists=True, desc="ITK transform; label images then lie in FreeSurfer's own space"
    )
    space = traits.Str(mandatory=True, desc="space of the BOLD, as its entity has it")
    settings = traits.Instance(FunctionalSettings, mandatory=True, desc="how runs are cleaned")


class _ConnectomeOutputs(TraitedSpec):  # type: ignore[misc]
    connectomes = OutputMultiObject(File(exists=True), desc="measured connectomes")
    sidecars = OutputMultiObject(File(exists=True), desc="the .json of all of them")


class _MeasureFunctionOutputs(_ConnectomeOutputs):
    timeseries = OutputMultiObject(
        File(exists=True), desc="region series of each run, before and after cleaning; its frames"
    )
    coverage = OutputMultiObject(File(exists=True), desc="coverage of the regions")
    dseg = OutputMultiObject(File(exists=True), desc="regions on the grid of the BOLD")


class MeasureFunction(SimpleInterface):  # type: ignore[misc]
    """Functional connectomes of the runs of one participant; runs of a task are concatenated."""

    input_spec = _MeasureFunctionInputs
    output_spec = _MeasureFunctionOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder, given = Path(runtime.cwd), self.inputs
        to_fsnative = given.fsnative2t1w_xfm if isdefined(given.fsnative2t1w_xfm) else None
        images = {
            name: _carry_to(image, given.space, to_fsnative)
            for name, image in _list_images(given.atlases, given.dsegs, given.space).items()
        }
        runs = self._list_runs(folder, images)
        _check_one_session(runs)
        task = _make_task(
            runs[0].entities,
            settings=Settings(data_in(folder), functional=given.settings),
            bold_runs=tuple(runs),
        )
        measure_functional(task)
        self._results = {
            "timeseries": list_outputs(folder, "*_timeseries.tsv"),
            "coverage": list_outputs(folder, "*_coverage.tsv"),
            "dseg": list_outputs(folder, "*_dseg.nii.gz"),
            **_list_connectomes(folder),
        }
        return runtime

    def _list_runs(self, folder: Path, images: Mapping[str, LabelImage]) -> list[BoldRun]:
        given = self.inputs
        n = len(given.bold_file)
        sources = _one_each("source_file", given.source_file, n) or given.bold_file
        masks = _one_each("bold_mask", given.bold_mask, n) or [None] * n
        metadata = _one_each("metadata", given.metadata, n) or [
            read_bold_metadata(Path(path))[0] for path in given.bold_file
        ]
        confounds = _one_each("confounds_file", given.confounds_file, n)
        known = _one_each("confounds_metadata", given.confounds_metadata, n) or [None] * n
        tissue = {}
        if isdefined(given.tpms):
            paths = _one_each("tpms", given.tpms, len(TISSUES), of="GM, WM and CSF")
            tissue = dict(zip(TISSUES, map(Path, paths), strict=True))
        return [
            BoldRun(
                entities=_read_entities(sources[k]) | {"space": given.space},
                space=given.space,
                bold=Path(given.bold_file[k]),
                confounds=Path(confounds[k]),
                confounds_json=_find_metadata(Path(confounds[k]), known[k], folder, k),
                mask=None if masks[k] is None else Path(masks[k]),
                tissue=tissue,
                metadata=_add_start(metadata[k], given.slice_time_ref),
                labels=images,
            )
            for k in range(n)
        ]


class _MeasureStructureInputs(BaseInterfaceInputSpec):  # type: ignore[misc]
    tracks = File(exists=True, mandatory=True, desc="tractogram: .tck, .trk or .trx")
    weights = File(exists=True, desc="SIFT2 weights, one per streamline")
    source_file = traits.Str(desc="BIDS name, for the names of the outputs  [tracks]")
    algorithm = traits.Enum("ifod2", "sdstream", mandatory=True, desc="how it was tracked")
    atlases = traits.List(traits.Str, mandatory=True, desc="parcellations")
    dsegs = InputMultiObject(
        File(exists=True), mandatory=True, desc="label image of each, in its space"
    )
    settings = traits.Instance(StructuralSettings, mandatory=True, desc="units, search radius")


class MeasureStructure(SimpleInterface):  # type: ignore[misc]
    """Structural connectomes of one tractogram."""

    input_spec = _MeasureStructureInputs
    output_spec = _ConnectomeOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder, given = Path(runtime.cwd), self.inputs
        source = given.source_file if isdefined(given.source_file) else given.tracks
        entities = _read_entities(source)
        space = parse_name(source).get("space", "")
        tracts = Tractography(
            entities=entities | ({"space": space} if space else {}),
            algorithm=given.algorithm,
            tracks=Path(given.tracks),
            weights=Path(given.weights) if isdefined(given.weights) else None,
            mu=None,
            space=space,
            labels=_list_images(given.atlases, given.dsegs, space),
        )
        settings = Settings(data_in(folder), structural=given.settings)
        measure_structural(_make_task(entities, settings=settings, tractographies=(tracts,)))
        self._results = _list_connectomes(folder)
        return runtime


def data_in(folder: Path) -> DataSettings:
    """Make settings for a node, which writes into its own folder and reads from no dataset."""
    return DataSettings(bids_dir=folder.parent, output_dir=folder)


def _make_task(entities: Mapping[str, str], *, settings: Settings, **inputs: Any) -> SessionTask:
    found: dict[str, Any] = {"bold_runs": (), "tractographies": ()}
    session = SessionInputs(entities["sub"], entities.get("ses"), notes=(), **(found | inputs))
    return SessionTask(session, settings, ())


def _check_one_session(runs: Sequence[BoldRun]) -> None:
    """Refuse runs that must not be concatenated."""
    found = {tuple(run.entities.get(key, "") for key in ("sub", "ses")) for run in runs}
    if len(found) > 1:
        names = ", ".join(sorted(f"sub-{sub} ses-{ses}" for sub, ses in found))
        raise InputError(
            f"bold_file: expected runs of one session of one participant; found {names}. Make a "
            "workflow for each."
        )


def _list_images(
    atlases: Sequence[str], paths: Sequence[str], space: str
) -> dict[str, LabelImage]:
    _one_each("dsegs", paths, len(atlases), of=", ".join(f"{name}_dseg" for name in atlases))
    return {
        name: LabelImage(name, Path(path), space)
        for name, path in zip(atlases, paths, strict=True)
    }


def _carry_to(image: LabelImage, space: str, to_fsnative: str | None) -> LabelImage:
    """Label image with the way to it from the space of the BOLD, as far as names say it."""
    if to_fsnative is not None:
        return replace(image, space="fsnative", transforms=(Path(to_fsnative),))
    transforms, _ = match_spaces(image.path, space, TemplateOptions())
    own = find_label_space(image.path) if transforms else space
    return replace(image, space=own, transforms=transforms)


def _one_each(name: str, values: Any, n: int, *, of: str = "bold_file") -> Any:
    """Return the values, as many as there must be; None where the input is not connected."""
    if not isdefined(values):
        return None
    if len(values) != n:
        raise InputError(
            f"{name}: expected {n}, one for each of {of}; found {len(values)}: "
            f"{', '.join(map(str, values))}. Connect them all, in one order."
        )
    return values


def _read_entities(source: str) -> dict[str, str]:
    named = parse_name(source)
    if "sub" not in named:
        raise InputError(
            f"expected a BIDS name, sub-<label>_…, of what was measured; found {Path(source).name}"
            ". Connect source_file: fMRIPrep's, or any BIDS name of the run."
        )
    return {key: named[key] for key in ENTITIES_OF_THE_RUN if key in named}


def _add_start(metadata: Mapping[str, Any], reference: float | None) -> dict[str, Any]:
    """Metadata of a run with the moment that slices were brought to, which raw data do not say."""
    start = find_start(metadata, reference)
    return {**metadata, **({} if start is None else {START: start})}


def _find_metadata(
    confounds: Path, known: Mapping[str, Any] | None, folder: Path, number: int
) -> Path | None:
    """File of what is known of a table of confounds: the one beside it, or one made of it."""
    if known is None:
        beside = sidecar_path(confounds)
        return beside if beside.is_file() else None
    path = folder / f"run-{number + 1}_desc-confounds_timeseries.json"
    write_json(path, known)
    return path


def _list_connectomes(folder: Path) -> dict[str, list[str]]:
    return {
        "connectomes": [str(found.path) for found in find_relmats(folder)],
        "sidecars": list_outputs(folder, "*.json"),
    }


def list_outputs(folder: Path, pattern: str) -> list[str]:
    """List the files of participants in a node's folder."""
    return sorted(map(str, folder.glob(f"sub-*/**/{pattern}")))
