"""Readers of what says how to go on: sidecars, descriptions, filters, lists, settings."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from fuzz.arrays import AFFINE, pack_gzip
from fuzz.cases import Reader, Seed, require

BOLD = "sub-01/func/sub-01_task-rest_desc-preproc_bold"


def list_readers() -> list[Reader]:
    """List the readers of sidecars and settings."""
    return [
        Reader("BOLD sidecar", _list_bold_sidecars, _read_bold_sidecar),
        Reader("dataset description", _list_descriptions, _read_description),
        Reader("BIDS filter", _list_filters, _read_filters),
        Reader("exclusions", _list_exclusions, _read_exclusions),
        Reader("config file", _list_configs, _read_config),
    ]


def _list_bold_sidecars() -> Sequence[Seed]:
    import nibabel as nib

    image = nib.Nifti1Image(np.ones((2, 2, 2, 3), np.int16), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    beside = {f"{BOLD}.nii.gz": pack_gzip(image.to_bytes())}
    own = json.dumps({"RepetitionTime": 2.0, "TaskName": "rest", "SliceTiming": [0, 1]}).encode()
    times = json.dumps({"VolumeTiming": [0, 2, 4], "TaskName": "rest"}).encode()
    shared = {"task-rest_bold.json": own}
    return [
        Seed(f"{BOLD}.json", own, beside),
        Seed(f"{BOLD}.json", times, beside),
        Seed(f"{BOLD}.json", b"{}", beside | shared),
        Seed("task-rest_bold.json", own, beside),
    ]


def _read_bold_sidecar(path: Path) -> None:
    from kraken_bids.bids.bold_series import open_bold

    root = path.parents[2] if path.parent.name == "func" else path.parent
    bold = open_bold(root / f"{BOLD}.nii.gz", tr=None)
    require(isinstance(bold.tr, float) and 0 < bold.tr < 1000, "an odd repetition time")


def _list_descriptions() -> Sequence[Seed]:
    content = {
        "Name": "fMRIPrep - fMRI PREProcessing workflow",
        "BIDSVersion": "1.4.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1.3", "CodeURL": "https://x"}],
        "DatasetLinks": {"raw": "../..", "templateflow": "https://github.com/templateflow"},
        "SourceDatasets": [{"URL": "file:///data", "DOI": "10.0/1"}],
    }
    own = content | {"GeneratedBy": [{"Name": "kraken_bids", "Version": "1.0"}]}
    raw = {"Name": "raw", "BIDSVersion": "1.8.0", "Authors": ["A", "B"]}
    name, beside = "dataset_description.json", {"sub-01/func/x.txt": b""}
    return [Seed(name, json.dumps(one).encode(), beside) for one in (content, own, raw)]


def _read_description(path: Path) -> None:
    from kraken_bids.bids.datasets import describe_folder
    from kraken_bids.bids.output_dataset import write_dataset_description
    from kraken_bids.exceptions import InputError

    found = describe_folder(path.parent)
    require(found is not None, "no dataset")
    assert found is not None
    texts = (found.name, found.kind, found.pipeline, found.version)
    require(all(isinstance(text, str) for text in texts), "no texts")
    require("/" not in found.name, "a name with a path")
    try:
        write_dataset_description(path.parent, name="x", sources={"raw": path.parent})
    except InputError:
        return  # another tool's
    content = json.loads(path.read_bytes())
    require(content["GeneratedBy"][0]["Name"] == "kraken_bids", "another tool's is overwritten")


def _list_filters() -> Sequence[Seed]:
    content = {
        "bold": {"session": "01", "run": [1, 2], "space": None, "echo": "*"},
        "tractogram": {"acquisition": "Query.NONE", "extension": "tck.gz"},
    }
    return [Seed("filter.json", json.dumps(content).encode())]


def _read_filters(path: Path) -> None:
    from kraken_bids.bids.names import parse_name
    from kraken_bids.bids.query import matches, read_filters

    entities = parse_name(Path("sub-01_ses-01_task-rest_run-01_space-T1w_bold.nii.gz"))
    for conditions in read_filters(path).values():
        require(matches(entities, conditions) in {True, False}, "neither yes nor no")


def _list_exclusions() -> Sequence[Seed]:
    text = b"# runs that moved\nsub-01_task-rest_run-2 bad\n\nsub-02_ses-1_task-rest\ttoo\n"
    return [Seed("exclude.txt", text)]


def _read_exclusions(path: Path) -> None:
    from kraken_bids.bids.query import read_exclusions

    names = read_exclusions([str(path)])
    require(all(isinstance(name, str) and name.split() == [name] for name in names), "odd names")


def _list_configs() -> Sequence[Seed]:
    text = (
        'participant_label = ["01", "02"]\natlases = ["fs86"]\nhigh-pass = 0.01\nn_procs = 2\n'
        'denoise = "24p"\nforce = true\nmodel = "pretrained"\n[derivatives]\nfmriprep = "x"\n'
    )
    return [Seed("run.toml", text.encode())]


def _read_config(path: Path) -> None:
    from kraken_bids.cli.app import main

    words = [str(path.parent), str(path.parent / "out"), "participant", "--config-file", str(path)]
    try:
        main.make_context("kraken-bids", words)
    except (click.ClickException, click.exceptions.Exit):
        return  # as for the same words on the command line
    except SystemExit as error:
        require(error.code in {2, 3}, f"exit code {error.code}")
