"""The predicting stage of the app as a nipype interface, and the way to the app's OUTPUT_DIR."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    InputMultiObject,
    OutputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from kraken_bids.bids.datasets import DESCRIPTION, Dataset, describe_folder, make_unique
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import latents_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.sidecar_records import ORIGIN
from kraken_bids.cohort.standing import record_path
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.facts import Facts
from kraken_bids.io.files import atomic_path
from kraken_bids.io.texts import read_json
from kraken_bids.pipeline.levels import prepare_output
from kraken_bids.pipeline.participant import load_model_of, plan_predictions
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.workers import InlineExecutor
from kraken_bids.settings import DataSettings, PredictionSettings, Settings
from kraken_bids.workflows.measuring_interfaces import data_in, list_outputs


class _PredictInputs(BaseInterfaceInputSpec):  # type: ignore[misc]
    connectomes = InputMultiObject(
        File(exists=True), mandatory=True, desc="measured connectomes of one participant"
    )
    sidecars = InputMultiObject(File(exists=True), desc="their .json")
    settings = traits.Instance(
        PredictionSettings, mandatory=True, desc="model, adaptation, sources and targets"
    )


class _PredictOutputs(TraitedSpec):  # type: ignore[misc]
    latents = OutputMultiObject(File(exists=True), desc="latents, one table per session")
    predictions = OutputMultiObject(File(exists=True), desc="predicted connectomes")
    sidecars = OutputMultiObject(File(exists=True), desc="the .json of all of them")


class PredictConnectomes(SimpleInterface):  # type: ignore[misc]
    """Latents and predicted connectomes of one participant."""

    input_spec = _PredictInputs
    output_spec = _PredictOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder = Path(runtime.cwd)
        given = self.inputs
        sidecars = given.sidecars if isdefined(given.sidecars) else []
        for path in (*given.connectomes, *sidecars):
            _copy(Path(path), folder)
        settings = Settings(data_in(folder), prediction=given.settings)
        members = list_members(folder)
        plan, failures = plan_predictions(settings, load_model_of(settings), members)
        for failure in failures:
            raise ConnectomeError(failure.message)
        for _, error in predict_members(plan, members, InlineExecutor()):
            if error is not None:
                raise error
        ending = "relmats.h5" if settings.prediction.output_format == "h5" else "relmat.dense.tsv"
        predicted = list_outputs(folder, f"*kraken_{ending}")
        latents = [latents_path(folder, m.subject, m.session) for m in members]
        self._results = {
            "latents": list(map(str, latents)),
            "predictions": predicted,
            "sidecars": [str(sidecar_path(p)) for p in (*latents, *map(Path, predicted))],
        }
        return runtime


class _SaveInputs(BaseInterfaceInputSpec):  # type: ignore[misc]
    in_file = InputMultiObject(File(exists=True), mandatory=True, desc="files of the others here")
    source_file = InputMultiObject(traits.Str, desc="raw files that they come from")
    base_directory = Directory(mandatory=True, desc="OUTPUT_DIR of kraken-bids")


class _SaveOutputs(TraitedSpec):  # type: ignore[misc]
    out_file = OutputMultiObject(File(exists=True), desc="where they are now")


class SaveDerivatives(SimpleInterface):  # type: ignore[misc]
    """Copy files to where the app writes them, for its group level to find."""

    input_spec = _SaveInputs
    output_spec = _SaveOutputs

    def _run_interface(self, runtime: Any) -> Any:
        folder = Path(self.inputs.base_directory)
        folder.mkdir(parents=True, exist_ok=True)
        for named in map(parse_name, self.inputs.in_file):
            # what a run of the app noted of the session is not true of these files
            record_path(folder, named["sub"], named.get("ses")).unlink(missing_ok=True)
        raw = self.inputs.source_file if isdefined(self.inputs.source_file) else []
        files = [*map(Path, raw), *_list_source_files(self.inputs.in_file)]
        datasets = find_source_datasets(files, folder)
        problems: list[Exception] = []
        settings = Settings(DataSettings(Path(runtime.cwd), folder))
        prepare_output(settings, datasets, problems=problems)
        if problems:
            raise problems[0]
        self._results["out_file"] = [
            str(_copy(Path(path), folder)) for path in self.inputs.in_file
        ]
        return runtime


def _list_source_files(files: Iterable[str]) -> list[Path]:
    """List the files that sidecars name as sources."""
    sidecars = [read_json(Path(path)) for path in files if path.endswith(".json")]
    uris = dict.fromkeys(uri for one in sidecars for uri in Facts(one).texts(ORIGIN.sources))
    return [Path(unquote(urlsplit(uri).path)) for uri in uris if uri.startswith("file:")]


def _copy(path: Path, folder: Path) -> Path:
    """Copy a file of the app's to its place below another folder."""
    named = parse_name(path)
    levels = [f"{key}-{named[key]}" for key in ("sub", "ses") if key in named]
    datatype = [] if path.parent.name.startswith(("sub-", "ses-")) else [path.parent.name]
    target = folder.joinpath(*levels, *datatype, path.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        shutil.copyfile(path, temporary)
    return target


def find_source_datasets(files: Iterable[Path], output_dir: Path) -> tuple[Dataset, ...]:
    """Find the datasets that files lie in: of each, the innermost folder with a description.

    Parameters
    ----------
    files : iterable of path
        They need not be there. Those in no dataset, such as a workflow's own, are passed over.
    output_dir : path
        Our own dataset, which is no source.

    Returns
    -------
    tuple of Dataset
        Each once, with names of their own, in the order of the files.
    """
    folders = dict.fromkeys(Path(file).absolute().parent for file in files)
    roots = dict.fromkeys(root for folder in folders if (root := _find_root(folder)) is not None)
    own = output_dir.resolve()
    found = (describe_folder(root) for root in roots if root.resolve() != own)
    return make_unique(dataset for dataset in found if dataset is not None)


def _find_root(folder: Path) -> Path | None:
    for one in (folder, *folder.parents):
        if one.name == "freesurfer" or (one / DESCRIPTION).is_file():
            return one
    return None
