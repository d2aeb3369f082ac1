"""The workflow gives the app's files, under nipype's plugins and inside other workflows."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pytest
from nipype.interfaces import utility as niu
from nipype.interfaces.base import Undefined
from nipype.pipeline import engine as pe

from kraken_bids.bids.outputs import find_relmats, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.exceptions import FlavorError, InputError, SettingsError
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.texts import read_json
from kraken_bids.settings import FunctionalSettings
from kraken_bids.workflows import init_fc_wf, init_kraken_wf
from kraken_bids.workflows.measuring_interfaces import MeasureFunction
from kraken_bids.workflows.prediction_interfaces import SaveDerivatives

MULTIPROC = {"plugin": "MultiProc", "plugin_args": {"n_procs": 2, "mp_context": "forkserver"}}


def build(participant: Any, base_dir: Path, **options: Any) -> pe.Workflow:
    """Make a workflow of everything that the participant has."""
    workflow = init_kraken_wf(
        model=participant.model,
        atlases_std=["shen268"],
        tractograms=["ifod2"],
        adaptation="none",
        **options,
    )
    workflow.base_dir = str(base_dir)
    inputnode = workflow.get_node("inputnode")
    inputnode.inputs.trait_set(**participant.t1, **participant.std, **participant.dwi)
    return workflow


def run(workflow: pe.Workflow, prefix: str = "", **plugin: Any) -> dict[str, list[Path]]:
    """Run a workflow inside another one; returns the files that come out, field by field.

    The prefix is that of its output node where the workflow holds the one in question.
    """
    outer = pe.Workflow(name="outer", base_dir=workflow.base_dir)
    fields = workflow.get_node(f"{prefix}outputnode").inputs.copyable_trait_names()
    for field in fields:
        merge = pe.Node(niu.Merge(1), name=field)
        outer.connect(workflow, f"{prefix}outputnode.{field}", merge, "in1")
    done = {node.name: node for node in outer.run(**(plugin or {"plugin": "Linear"})).nodes()}
    return {field: list(map(Path, done[field].result.outputs.out)) for field in fields}


def check_columns(found: Path, wanted: Path) -> None:
    """Assert that two tables agree; last digits depend on how many threads a process has."""
    ours, theirs = read_columns(found), read_columns(wanted)
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(ours[name], values, rtol=1e-6, atol=1e-6)
        else:
            assert ours[name].tolist() == values.tolist()


def check_same(found: dict[str, list[Path]], participant: Any) -> None:
    """Assert that measured files and predictions are the app's.

    Numbers to 1e-6: workers of a plugin have other thread counts, which least squares show in the
    last digit.
    """
    for field, pattern in (("timeseries", "*_timeseries.tsv"), ("coverage", "*_coverage.tsv")):
        wanted = participant.app_files(pattern)
        assert {path.name for path in found[field]} == set(wanted)
        for path in found[field]:
            check_columns(path, wanted[path.name])
    dsegs = participant.app_files("*_dseg.nii.gz")
    for path in found["dseg"]:
        kept = nibabel.load(dsegs[path.name])
        np.testing.assert_array_equal(nibabel.load(path).dataobj, kept.dataobj)
    assert len(found["dseg"]) == len(dsegs)
    app = {f.path.name: f.path for f in find_relmats(participant.done)}
    assert len(found["connectomes"]) == 10
    for path in found["connectomes"]:
        np.testing.assert_allclose(read_relmat(path), read_relmat(app[path.name]), atol=2e-6)
    wanted = participant.app_files("*kraken_relmat.dense.tsv")
    assert {path.name for path in found["predictions"]} == set(wanted)
    for path in found["predictions"]:
        np.testing.assert_allclose(read_relmat(path), read_relmat(wanted[path.name]), atol=1e-6)
    written = [path for field, paths in found.items() if field != "sidecars" for path in paths]
    assert sorted(map(sidecar_path, written)) == sorted(found["sidecars"])
    (latents,) = found["latents"]
    (kept,) = participant.app_files("*_latents.tsv").values()
    check_same_table(latents, kept)


def check_same_table(path: Path, wanted: Path) -> None:
    """Assert that two tables have the same columns, words and, to 1e-6, numbers."""
    ours, theirs = read_columns(path), read_columns(wanted)
    assert list(ours) == list(theirs)
    for column, values in theirs.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(ours[column], values, rtol=1e-6, atol=1e-6)
        else:
            assert ours[column].tolist() == values.tolist()


@pytest.mark.parametrize("plugin", [{}, MULTIPROC], ids=["Linear", "MultiProc"])
def test_gives_what_the_app_gives(participant: Any, tmp_path: Path, plugin: dict) -> None:
    """Series, coverage, matrices, latents and predictions are the app's to 1e-6."""
    check_same(run(build(participant, tmp_path), **plugin), participant)


def test_stands_inside_a_workflow_like_fmripreps(participant: Any, tmp_path: Path) -> None:
    """Fed by nodes with fMRIPrep's fields, from files without BIDS names, it names by source."""
    stage = tmp_path / "scratch"
    stage.mkdir()
    inputs = dict(participant.t1)
    for field in ("bold_t1", "bold_mask_t1", "confounds_file"):
        moved = []
        for k, path in enumerate(map(Path, inputs[field])):
            target = stage / f"{field}_{k}{''.join(path.suffixes)}"
            os.link(path, target)
            moved.append(str(target))
        inputs[field] = moved
    sources = [f"/raw/sub-01_task-rest_run-0{k}_echo-1_bold.nii.gz" for k in (1, 2)]
    tables = map(Path, participant.t1["confounds_file"])
    known = [json.loads(sidecar_path(path).read_text()) for path in tables]
    confs = {"confounds_file": inputs.pop("confounds_file"), "confounds_metadata": known}

    single_subject_wf = pe.Workflow(name="single_subject_wf", base_dir=str(tmp_path))
    bold_wf = make_identity("bold_wf", inputs)
    confounds_wf = make_identity("bold_confounds_wf", confs)
    kraken_wf = init_kraken_wf(model=participant.model, adaptation="none")
    kraken_wf.inputs.inputnode.source_file = sources
    single_subject_wf.connect([
        (bold_wf, kraken_wf, [(f"outputnode.{f}", f"inputnode.{f}") for f in inputs]),
        (confounds_wf, kraken_wf, [(f"outputnode.{f}", f"inputnode.{f}") for f in confs]),
    ])  # fmt: skip
    found = run(single_subject_wf, "kraken_wf.")
    app = {f.path.name: f.path for f in find_relmats(participant.done)}
    assert len(found["connectomes"]) == 3
    for path in found["connectomes"]:
        assert path.read_bytes() == app[path.name].read_bytes()


def make_identity(name: str, values: dict[str, Any]) -> pe.Workflow:
    """Make a workflow whose output node gives these values, as one of fMRIPrep's would."""
    workflow = pe.Workflow(name=name)
    buffer = pe.Node(niu.IdentityInterface(fields=list(values), **values), name="buffer")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(values)), name="outputnode")
    workflow.connect([(buffer, outputnode, [(field, field) for field in values])])
    return workflow


def test_labels_in_freesurfers_space(participant: Any, tmp_path: Path) -> None:
    """aparc+aseg.mgz with fsnative2t1w_xfm gives what labels in T1w space give."""
    image = nibabel.load(participant.t1["fs86_dseg"])
    shift = np.eye(4)
    shift[:3, 3] = (10, -20, 30)
    mgz = tmp_path / "aparc+aseg.mgz"
    labels = np.asarray(image.dataobj).astype(np.int32)
    nibabel.save(nibabel.MGHImage(labels, shift @ image.affine), mgz)
    # ITK moves points from T1w to fsnative, in LPS
    xfm = tmp_path / "sub-01_from-fsnative_to-T1w_mode-image_xfm.txt"
    xfm.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 -10 20 30\nFixedParameters: 0 0 0\n"
    )
    workflow = init_fc_wf(atlases=["fs86"], space="T1w")
    workflow.base_dir = str(tmp_path)
    t1 = participant.t1
    workflow.inputs.inputnode.trait_set(
        bold_file=t1["bold_t1"],
        bold_mask=t1["bold_mask_t1"],
        confounds_file=t1["confounds_file"],
        tpms=t1["t1w_tpms"],
        fs86_dseg=str(mgz),
        fsnative2t1w_xfm=str(xfm),
    )
    app = {f.path.name: f.path for f in find_relmats(participant.done)}
    for path in run(workflow)["connectomes"]:
        assert path.read_bytes() == app[path.name].read_bytes()


def test_example_leaves_what_the_group_level_reads(
    participant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example, run as its docstring says, fills an OUTPUT_DIR with sidecars."""
    script = Path(__file__).resolve().parents[2] / "examples" / "fmriprep_workflow.py"
    if not script.is_file():
        pytest.skip("the examples are not beside the tests")
    output = tmp_path / "out"
    build_workflow = runpy.run_path(str(script))["build_workflow"]
    workflow = build_workflow(participant.fmriprep, "01", output, model=str(participant.model))
    workflow.base_dir = str(tmp_path)
    assert "aparcaseg" in workflow.inputs.inputnode.fs86_dseg
    workflow.run(plugin="Linear")
    members = list_members(output)
    assert [(m.label, len(m.connectomes)) for m in members] == [("sub-01", 3)]
    app = {f.path.name: f.path for f in find_relmats(participant.done)}
    for path in members[0].connectomes.values():
        assert path.read_bytes() == app[path.name].read_bytes()
        assert json.loads(sidecar_path(path).read_text())["Flavor"]
    (source,) = read_json(output / "dataset_description.json")["SourceDatasets"]
    assert source == {"URL": participant.fmriprep.resolve().as_uri()}
    assert (output / "sub-01" / "sub-01_desc-kraken_latents.tsv").is_file()
    (prediction,) = output.rglob("*fs86*FCcorrHPF_desc-fusionkraken_relmat.dense.tsv")
    facts = json.loads(sidecar_path(prediction).read_text())
    assert facts["Predicted"] is True
    assert "NOT adapted" in facts["AdaptationNotice"]
    older = tmp_path / "fmriprep-24"
    shutil.copytree(participant.fmriprep, older, copy_function=os.link)
    next(older.rglob("*_desc-aparcaseg_dseg.nii.gz")).unlink()
    inputs = build_workflow(older, "sub-01", output, model="pretrained").inputs.inputnode
    assert inputs.fs86_dseg.endswith("sourcedata/freesurfer/sub-01/mri/aparc+aseg.mgz")
    assert inputs.fsnative2t1w_xfm.endswith("_from-fsnative_to-T1w_mode-image_xfm.txt")


def test_the_datasets_of_the_inputs_are_named(participant: Any, tmp_path: Path) -> None:
    """Raw data, derivatives, what an earlier run has named; no folder of nodes, not our own."""
    output, work = tmp_path / "out", tmp_path / "work nodes"
    output.mkdir()
    named = {"GeneratedBy": [{"Name": "kraken_bids"}], "SourceDatasets": [{"URL": "file:///old"}]}
    (output / "dataset_description.json").write_text(json.dumps(named))
    sources = [
        *map(Path, participant.t1["bold_t1"]),
        Path(participant.std["shen268_dseg"]),
        work / "bold.nii.gz",
        output / "sub-01" / "func" / "mask.nii.gz",
    ]
    sidecar = work / "func" / "sub-01_task-rest_relmat.json"
    sidecar.parent.mkdir(parents=True)
    sidecar.write_text(json.dumps({"Sources": [path.as_uri() for path in sources]}))
    node = SaveDerivatives(
        base_directory=str(output),
        in_file=[str(sidecar)],
        source_file=[str(participant.bids / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz")],
    )
    node.run(cwd=str(tmp_path))
    found = read_json(output / "dataset_description.json")["SourceDatasets"]
    roots = [participant.bids, participant.fmriprep, participant.bids / "derivatives" / "atlases"]
    assert found == [{"URL": "file:///old"}, *({"URL": r.resolve().as_uri()} for r in roots)]


@pytest.mark.parametrize(
    ("raw", "start"),
    [({}, None), ({"slice_time_ref": None}, 0.0), ({"slice_time_ref": 0.25}, 0.25)],
)
def test_series_say_when_their_volumes_are(
    participant: Any, tmp_path: Path, raw: dict[str, Any], start: float | None
) -> None:
    """By sidecars of preprocessed BOLD; by slices, where metadata of raw data are connected."""
    names = {"sub": "01", "task": "rest"}
    beside = read_json(sidecar_path(Path(participant.t1["bold_t1"][0])))
    workflow = init_fc_wf(atlases=["fs86"], space="T1w", **raw)
    node = workflow.get_node("measure").interface
    node.inputs.trait_set(
        bold_file=participant.t1["bold_t1"],
        confounds_file=participant.t1["confounds_file"],
        dsegs=[participant.t1["fs86_dseg"]],
    )
    if raw:
        node.inputs.metadata = [{"RepetitionTime": 2.0, "SliceTiming": [0.0, 1.0, 0.5]}] * 2

    runs = node._list_runs(tmp_path, {})

    assert beside["StartTime"] > 0
    wanted = beside["StartTime"] if start is None else start
    assert [run.metadata.get("StartTime", 0.0) for run in runs] == [wanted] * 2
    assert all(names.items() <= run.entities.items() for run in runs)


def test_what_does_not_fit_is_said(participant: Any, tmp_path: Path) -> None:
    """A file too few, a name that says no participant: which field, and what to connect."""
    t1 = participant.t1
    given = {
        "bold_file": t1["bold_t1"],
        "confounds_file": t1["confounds_file"],
        "fs86_dseg": t1["fs86_dseg"],
    }
    plain = tmp_path / "bold.nii.gz"
    os.link(t1["bold_t1"][0], plain)
    one = [t1["confounds_file"][0]]
    for changed, message in (
        (
            {"confounds_file": one},
            "confounds_file: expected 2, one for each of bold_file; found 1",
        ),
        ({"tpms": t1["t1w_tpms"][:2]}, "tpms: expected 3, one for each of GM, WM and CSF"),
        ({"bold_file": str(plain), "confounds_file": one}, "Connect source_file"),
        ({"source_file": ["sub-01_ses-1_bold", "sub-01_ses-2_bold"]}, "runs of one session"),
        ({"fs86_dseg": Undefined}, "requires a value for input 'dsegs'"),
    ):
        workflow = init_fc_wf(atlases=["fs86"], space="T1w", name=f"wf{len(message)}")
        workflow.base_dir = str(tmp_path)
        workflow.config["execution"] = {"crashdump_dir": str(tmp_path)}
        workflow.inputs.inputnode.trait_set(**given | changed)
        with pytest.raises(Exception, match=message):
            workflow.run(plugin="Linear")


def test_labels_of_another_template_are_refused(participant: Any, tmp_path: Path) -> None:
    """Names that say two templates are believed, in a node as in the command."""
    atlas = Path(participant.std["shen268_dseg"])
    other = tmp_path / atlas.name.replace("NLin6Asym", "NLin2009cAsym")
    shutil.copyfile(atlas, other)
    inputs = participant.std | {"shen268_dseg": str(other)}
    node = MeasureFunction(
        atlases=["shen268"],
        space="MNI152NLin6Asym",
        settings=FunctionalSettings(),
        bold_file=inputs["bold_std"],
        confounds_file=participant.t1["confounds_file"],
        dsegs=[inputs["shen268_dseg"]],
    )
    with pytest.raises(InputError, match="in the space of the data, MNI152NLin6Asym; found one"):
        node.run(cwd=str(tmp_path))


def test_choices_are_checked_before_anything_runs() -> None:
    """Nothing to measure, an unknown target: said when the workflow is built."""
    with pytest.raises(SettingsError, match="atlases_t1"):
        init_kraken_wf(atlases_t1=())
    with pytest.raises(FlavorError, match="nonsense"):
        init_kraken_wf(targets=["nonsense"])


def test_joins_fmripreps_boilerplate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where niworkflows is installed, its kind of workflow carries the methods text."""

    class LiterateWorkflow(pe.Workflow):
        """What niworkflows has."""

    engine = ModuleType("niworkflows.engine.workflows")
    engine.LiterateWorkflow = LiterateWorkflow  # type: ignore[attr-defined]
    for name in ("niworkflows", "niworkflows.engine"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "niworkflows.engine.workflows", engine)
    workflow = init_kraken_wf()
    assert isinstance(workflow, LiterateWorkflow)
    assert "Krakencoder" in workflow.__desc__
    assert "fs86" in workflow.get_node("fc_t1_wf").__desc__


def test_without_nipype() -> None:
    """The import says what to install; the rest of the package does without."""
    code = "import sys; sys.modules['nipype'] = None; import kraken_bids.workflows"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "pip install 'kraken_bids[nipype]'" in done.stderr.splitlines()[-1]
    assert "DependencyError" in done.stderr.splitlines()[-1]
