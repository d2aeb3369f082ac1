"""Every layout of fMRIPrep gives, through the command, the same matrix from the same data."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.demo.formats import write_composite_transform
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table

pytestmark = pytest.mark.usefixtures("without_pictures")

FC = "FCcorr_fs86_hpf"
NLIN6, NLIN2009C = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
ATLASES = ("--atlases", "fs86", "shen268")
SHIFT_MM = (10.0, -20.0, 30.0)
"""Between the participant's T1w space and what FreeSurfer's folder holds in these tests."""
POINTS_TO_FSNATIVE = (
    "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    "Parameters: 1 0 0 0 1 0 0 0 1 -10 20 30\nFixedParameters: 0 0 0\n"
)
"""ITK writes points in LPS; it adds (10, -20, 30) in RAS."""


class Layouts:
    """A participant of the demo, laid out as versions of fMRIPrep do."""

    def __init__(self, app: Any) -> None:
        self.app = app
        app.copy_bids("01")
        shutil.rmtree(app.qsirecon)
        self.anat = app.fmriprep / "sub-01" / "anat"
        self.func = app.fmriprep / "sub-01" / "func"

    @property
    def native(self) -> np.ndarray:
        """What the run over fMRIPrep 25.2's layout measured."""
        return read_relmat(self._find(self.app.world.done, "atlas-fs86_meas-FCcorrHPF_relmat"))

    def measure(self, *words: object, flavors: Sequence[str] = (FC,)) -> Any:
        """Run the participant level; returns how it ended."""
        return self.app.participant(*words, flavors=flavors)

    def measured(self, folder: str = "sub-01", atlas: str = "fs86") -> np.ndarray:
        """Read the one measured matrix of an atlas."""
        ending = f"atlas-{atlas}_meas-FCcorrHPF_relmat"
        return read_relmat(self._find(self.app.out, ending, folder))

    def sidecar(self, atlas: str = "fs86", folder: str = "sub-01") -> dict[str, Any]:
        """Read its sidecar."""
        path = self._find(self.app.out, f"atlas-{atlas}_meas-FCcorrHPF_relmat", folder)
        return dict(json.loads(path.with_name(f"{path.name.partition('.')[0]}.json").read_text()))

    def set_version(self, version: str) -> None:
        """Say which version of fMRIPrep it was."""
        path = self.app.fmriprep / "dataset_description.json"
        content = json.loads(path.read_text())
        content["GeneratedBy"][0]["Version"] = version
        replace(path, json.dumps(content))

    def write_bold_aparcaseg(self) -> None:
        """Write FreeSurfer's segmentation on the grid of the BOLD, as up to 23.1."""
        image = nibabel.load(self.anat / "sub-01_desc-aparcaseg_dseg.nii.gz")
        labels = np.asarray(image.dataobj)
        for bold in sorted(self.func.glob("*_space-T1w_desc-preproc_bold.nii.gz")):
            target = nibabel.load(bold)
            to_labels = np.linalg.inv(image.affine) @ target.affine
            grid = np.indices(target.shape[:3]).reshape(3, -1)
            at = np.rint(to_labels[:3, :3] @ grid + to_labels[:3, 3:]).astype(int)
            inside = ((at >= 0) & (at < np.array(labels.shape)[:, None])).all(axis=0)
            moved = np.zeros(grid.shape[1], np.int16)
            moved[inside] = labels[tuple(at[:, inside])]
            name = bold.name.replace("desc-preproc_bold", "desc-aparcaseg_dseg")
            out = nibabel.Nifti1Image(moved.reshape(target.shape[:3]), target.affine)
            nibabel.save(out, self.func / name)

    def leave_it_to_freesurfer(self, folder: Path, name: str = "sub-01") -> None:
        """Move the segmentation to FreeSurfer's folder and space, as from 23.2 to 25.1."""
        path = self.anat / "sub-01_desc-aparcaseg_dseg.nii.gz"
        image = nibabel.load(path)
        shift = np.eye(4)
        shift[:3, 3] = SHIFT_MM
        mgz = folder / name / "mri" / "aparc+aseg.mgz"
        mgz.parent.mkdir(parents=True)
        labels = np.asarray(image.dataobj).astype(np.int32)
        nibabel.save(nibabel.MGHImage(labels, shift @ image.affine), mgz)
        path.unlink()
        replace(self.anat / "sub-01_from-fsnative_to-T1w_mode-image_xfm.txt", POINTS_TO_FSNATIVE)

    def rename(self, pattern: str, old: str, new: str) -> None:
        """Rename files of func."""
        for path in sorted(self.func.glob(pattern)):
            path.rename(path.with_name(path.name.replace(old, new)))

    def rename_template(self, space: str) -> None:
        """Call the template's BOLD, maps and transforms those of another one and resolution."""
        old = f"{NLIN6}_res-2"
        self.rename(f"*_space-{old}_*", old, space)
        for path in sorted(self.anat.glob(f"*_space-{old}_*")):
            path.rename(path.with_name(path.name.replace(old, space)))
        template = space.partition("_")[0]
        for path in sorted(self.anat.glob(f"*{NLIN6}*_xfm.h5")):
            path.rename(path.with_name(path.name.replace(NLIN6, template)))

    @staticmethod
    def _find(root: Path, ending: str, folder: str = "sub-01") -> Path:
        (path,) = (root / folder / "func").glob(f"*space-*{ending}.dense.tsv")
        return path


def replace(path: Path, text: str) -> None:
    """Give a file that is a link other content of its own."""
    path.unlink()
    path.write_text(text)


@pytest.fixture
def layouts(app: Any) -> Layouts:
    return Layouts(app)


@pytest.mark.parametrize("version", ["20.2.7", "23.1.4"])
def test_segmentation_on_the_bold_grid(layouts: Layouts, version: str) -> None:
    """20.2, and 21 to 23.1: func's aparcaseg is what the connectome is made of."""
    layouts.set_version(version)
    layouts.write_bold_aparcaseg()
    (layouts.anat / "sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    assert layouts.measure().exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert any("/func/" in uri and "aparcaseg" in uri for uri in layouts.sidecar()["Sources"])


@pytest.mark.parametrize("inside", ["sourcedata/freesurfer", "../freesurfer"])
def test_segmentation_left_to_freesurfer(layouts: Layouts, inside: str) -> None:
    """23.2 to 25.1: aparc+aseg.mgz through fsnative→T1w, inside the dataset and beside it."""
    layouts.set_version("24.1.1")
    layouts.leave_it_to_freesurfer((layouts.app.fmriprep / inside).resolve())
    assert layouts.measure().exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert layouts.sidecar()["AtlasSpace"] == "fsnative"


def test_freesurfer_anywhere(layouts: Layouts, tmp_path: Path) -> None:
    """A FreeSurfer folder elsewhere (--fs-subjects-dir) is named with -d; the message says so."""
    layouts.leave_it_to_freesurfer(tmp_path / "subjects")
    outcome = layouts.measure()
    assert outcome.exit_code == 3
    assert outcome.says("no FreeSurfer segmentation for fs86", "-d freesurfer=PATH")
    assert layouts.measure("-d", f"freesurfer={tmp_path / 'subjects'}").exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)


def test_current_segmentation(layouts: Layouts) -> None:
    """From 25.2: anat's aparcaseg, regridded."""
    layouts.set_version("25.2.5")
    assert layouts.measure().exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert layouts.sidecar()["AtlasSpace"] == "T1w"


def test_legacy_layout_of_20_2(layouts: Layouts) -> None:
    """fmriprep/ beside freesurfer/ (--output-layout legacy), confounds named regressors."""
    out = layouts.app.bids / "derivatives" / "preprocessed"
    out.mkdir()
    layouts.leave_it_to_freesurfer(out / "freesurfer")
    layouts.rename("*_desc-confounds_timeseries.*", "timeseries", "regressors")
    layouts.app.fmriprep.rename(out / "fmriprep")
    assert layouts.measure("-d", f"fmriprep={out / 'fmriprep'}").exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert any("confounds_regressors.tsv" in uri for uri in layouts.sidecar()["Sources"])


@pytest.mark.parametrize("anatomy", ["merged", "own", "tracked"])
def test_sessions(layouts: Layouts, anatomy: str) -> None:
    """A run in each of two sessions: one anatomy, one each, or FreeSurfer's named by session."""
    subject = layouts.app.fmriprep / "sub-01"
    sessions = ("a", "b")
    for session, run in zip(sessions, ("01", "02"), strict=True):
        func = subject / f"ses-{session}" / "func"
        func.mkdir(parents=True)
        for path in sorted(layouts.func.glob(f"*_run-{run}_*")):
            name = path.name.replace("sub-01_", f"sub-01_ses-{session}_")
            path.rename(func / name.replace(f"_run-{run}", ""))
    layouts.func.rmdir()
    if anatomy == "tracked":
        folder = layouts.app.fmriprep / "sourcedata" / "freesurfer"
        layouts.leave_it_to_freesurfer(folder, "sub-01_ses-a")
        shutil.copytree(folder / "sub-01_ses-a", folder / "sub-01_ses-b")
    if anatomy != "merged":
        for session in sessions:
            own = subject / f"ses-{session}" / "anat"
            own.mkdir()
            for path in sorted(layouts.anat.iterdir()):
                shutil.copyfile(path, own / path.name.replace("sub-01_", f"sub-01_ses-{session}_"))
        shutil.rmtree(layouts.anat)
    assert layouts.measure().exit_code == 0
    found = [layouts.measured(f"sub-01/ses-{session}") for session in sessions]
    assert not np.array_equal(*found)
    upper = np.triu_indices(86, 1)
    for square in found:  # half of the data each
        assert np.corrcoef(square[upper], layouts.native[upper])[0, 1] > 0.7
    assert len(layouts.sidecar(folder="sub-01/ses-a")["Runs"]) == 1


def test_echoes_beside_their_combination(layouts: Layouts) -> None:
    """Only the optimally combined series is read; single echoes lie beside it."""
    for bold in sorted(layouts.func.glob("*_space-T1w_desc-preproc_bold.nii.gz")):
        for echo in (1, 2, 3):
            name = bold.name.replace("_space-T1w", f"_echo-{echo}")
            (layouts.func / name).write_bytes(b"an echo is never opened")
            (layouts.func / name.replace("_desc-", "_space-T1w_desc-")).write_bytes(b"nor is this")
    assert layouts.measure().exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert len(layouts.sidecar()["Runs"]) == 2


def test_runs_numbered_without_zeros(layouts: Layouts) -> None:
    """run-1 is as good as run-01."""
    for run in ("1", "2"):
        layouts.rename(f"*_run-0{run}_*", f"_run-0{run}", f"_run-{run}")
    assert layouts.measure().exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)


def test_compcor_of_20_2_and_later(layouts: Layouts) -> None:
    """Cleaning by acompcor takes the same components by Mask (20.2) and by prefix (from 21)."""
    tables = sorted(layouts.func.glob("*_desc-confounds_timeseries.tsv"))
    for table in tables:
        replace(table.with_suffix(".json"), "{}")
    assert layouts.measure("--denoise", "acompcor").exit_code == 0
    by_prefix = layouts.measured()
    assert not np.array_equal(by_prefix, layouts.native)
    for table in tables:
        number_as_20_2(table)
    assert layouts.measure("--denoise", "acompcor", "--force").exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), by_prefix)


def number_as_20_2(table: Path) -> None:
    """Give the components one numbering over CSF and WM, told apart by Mask alone."""
    columns, known = dict(read_columns(table)), {}
    for prefix, mask in (("c_comp_cor_", "CSF"), ("w_comp_cor_", "WM")):
        for name in sorted(name for name in columns if name.startswith(prefix)):
            new = f"z_comp_cor_{len(known):02d}"
            columns[new] = columns.pop(name)
            known[new] = {"Mask": mask, "Method": "aCompCor", "Retained": True}
    dropped = {name for name in columns if name.startswith("a_comp_cor_")}
    renamed = {
        name.replace("z_comp", "a_comp"): values
        for name, values in columns.items()
        if name not in dropped
    }
    table.unlink()
    write_table(table, renamed)
    content = {name.replace("z_comp", "a_comp"): entry for name, entry in known.items()}
    replace(table.with_suffix(".json"), json.dumps(content))


@pytest.mark.parametrize("echoes", [False, True], ids=["minimal", "resampling"])
def test_levels_without_resampled_bold(layouts: Layouts, echoes: bool) -> None:
    """Minimal and resampling leave no BOLD in a space: said, with the level to run."""
    keep_only(layouts.func.glob("*"), "_boldref")
    (layouts.func / "sub-01_task-rest_run-01_desc-coreg_boldref.nii.gz").touch()
    if echoes:  # with --me-output-echos
        (layouts.func / "sub-01_task-rest_run-01_echo-1_desc-preproc_bold.nii.gz").touch()
    outcome = layouts.measure()
    assert outcome.exit_code == 3
    assert outcome.says("--level full", "--output-spaces T1w MNI152NLin6Asym:res-2")
    assert outcome.says("single echoes" if echoes else "--level minimal (or resampling)")


def test_cifti_alone(layouts: Layouts) -> None:
    """CIFTI is refused in a sentence that says what to run."""
    keep_only(layouts.func.glob("*"), "confounds")
    stem = "sub-01_task-rest_run-01"
    (layouts.func / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii").touch()
    outcome = layouts.measure()
    assert outcome.exit_code == 3
    assert outcome.says("only surface BOLD (CIFTI or GIFTI)", "--output-spaces", "--cifti-output")


def keep_only(paths: Iterable[Path], word: str) -> None:
    """Remove files without this in their names."""
    for path in list(paths):
        if word not in path.name:
            path.unlink()


@pytest.mark.parametrize(
    ("space", "resolution"),
    [
        *((NLIN6, resolution) for resolution in ("_res-1", "_res-native", "")),
        *((NLIN2009C, resolution) for resolution in ("_res-2", "_res-02", "")),
    ],
)
def test_templates_at_any_resolution(layouts: Layouts, space: str, resolution: str) -> None:
    """Atlases are measured in either template, whatever res- says; the other one by permission."""
    layouts.rename_template(space + resolution)
    is_other = space == NLIN2009C
    words = ("--allow-template-mismatch",) if is_other else ()
    outcome = layouts.measure(*ATLASES, *words, flavors=(FC, "FCcorr_shen268_hpf"))
    assert outcome.exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    assert layouts.measured(atlas="shen268").shape == (268, 268)
    facts = layouts.sidecar("shen268")
    assert (facts["Space"], facts["AtlasSpace"]) == (space, NLIN6)
    way_out = "--output-spaces T1w MNI152NLin6Asym:res-2"
    said = f"shen268 is defined in {NLIN6}, but BOLD was found only in {space}"
    assert outcome.says("WARNING", said, way_out) is is_other
    assert any(said in note and way_out in note for note in facts["Notes"]) is is_other
    assert (said in (layouts.app.out / "sub-01.html").read_text()) is is_other


def test_the_default_template_is_not_taken_for_that_of_the_atlases(layouts: Layouts) -> None:
    """MNI152NLin2009cAsym alone, as fMRIPrep writes it by default: said, with what to do."""
    layouts.rename_template(NLIN2009C)
    outcome = layouts.measure(*ATLASES, flavors=(FC, "FCcorr_shen268_hpf"))
    assert outcome.exit_code == 0
    np.testing.assert_array_equal(layouts.measured(), layouts.native)
    way_out = ("--output-spaces MNI152NLin6Asym:res-2", "--allow-template-mismatch")
    assert outcome.says("WARNING", "shen268, which is left out", *way_out)
    assert not list(layouts.app.out.rglob("*atlas-shen268*relmat*"))
    shutil.rmtree(layouts.app.out)
    app = layouts.app
    words = ("--model", app.world.model, "--atlases", "shen268")
    outcome = app.invoke(app.bids, app.out, "participant", *words)
    assert outcome.exit_code == 3
    assert outcome.says(*way_out)


def test_the_default_template_through_templateflows_transform(
    layouts: Layouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label image that lies elsewhere comes to where it was; without the transform it does not.

    The published transform is made up here: a shift, and the atlas shifted against it.
    """
    flavors = (FC, "FCcorr_shen268_hpf")
    layouts.measure(*ATLASES, flavors=flavors)
    wanted = layouts.measured(atlas="shen268")
    layouts.rename_template(NLIN2009C)
    shift = np.eye(4)
    shift[:3, 3] = SHIFT_MM
    (atlas,) = (layouts.app.bids / "derivatives/atlases").rglob("*atlas-shen268*_dseg.nii.gz")
    image = nibabel.load(atlas)
    moved = nibabel.Nifti1Image(np.asarray(image.dataobj), shift @ image.affine)
    atlas.unlink()
    nibabel.save(moved, atlas)
    name = f"tpl-{NLIN2009C}_from-{NLIN6}_mode-image_xfm.h5"
    for folder, options in (
        (tmp_path / "flow" / f"tpl-{NLIN2009C}", ()),
        (tmp_path / "own", ("--transforms-dir", tmp_path / "own")),
    ):
        monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "flow"))
        write_composite_transform(folder / name, [(shift, None)])
        shutil.rmtree(layouts.app.out)
        outcome = layouts.measure(*ATLASES, *options, flavors=flavors)
        assert outcome.exit_code == 0, outcome.output
        np.testing.assert_array_equal(layouts.measured(atlas="shen268"), wanted)
        facts = layouts.sidecar("shen268")
        assert (facts["Space"], facts["AtlasSpace"]) == (NLIN2009C, NLIN6)
        assert any(name in uri for uri in facts["Sources"])
        assert not outcome.says("millimetres")
        (folder / name).unlink()


def test_through_the_transforms_of_both_templates(layouts: Layouts) -> None:
    """With transforms of both templates, atlases are carried to the other's BOLD, as exactly."""
    layouts.measure("--atlases", "shen268", flavors=("FCcorr_shen268_hpf",))
    wanted = layouts.measured(atlas="shen268")
    # the same grid under the other name, and the same warp: the way there and back is identity
    layouts.rename(f"*_space-{NLIN6}_res-2_*", f"{NLIN6}_res-2", f"{NLIN2009C}_res-2")
    for path in sorted(layouts.anat.glob(f"*{NLIN6}*")):
        shutil.copyfile(path, path.with_name(path.name.replace(NLIN6, NLIN2009C)))
    shutil.rmtree(layouts.app.out)
    outcome = layouts.measure("--atlases", "shen268", flavors=("FCcorr_shen268_hpf",))
    facts = layouts.sidecar("shen268")
    assert not outcome.says("differ by millimetres")
    assert sum("_xfm.h5" in uri for uri in facts["Sources"]) == 2
    upper = np.triu_indices(268, 1)
    found = layouts.measured(atlas="shen268")
    assert np.corrcoef(found[upper], wanted[upper])[0, 1] > 0.95


def test_independent_generator(app: Any, tmp_path: Path) -> None:
    """One seed in the layouts of 20.2, 23.2 and 25 of another program: one matrix per cleaning."""
    script = Path(__file__).resolve().parents[2].parent / "shared/tools/make_synth_fmriprep.py"
    if not script.is_file():
        pytest.skip(f"{script} is not here")
    found: dict[str, list[np.ndarray]] = {"fmriclean": [], "acompcor": []}
    for layout in ("20.2", "23.2", "25"):
        root = tmp_path / layout
        small = ["--subjects", "1", "--shape", "26", "26", "26", "--voxel", "6", "--vols", "90"]
        words = [sys.executable, str(script), str(root), "--layout", layout, *small]
        subprocess.run(words, check=True, capture_output=True)
        for denoise, squares in found.items():
            app.out = tmp_path / f"{layout}-{denoise}"
            words = ["participant", *app.options([FC]), "--denoise", denoise]
            outcome = app.invoke(root, app.out, *words)
            assert outcome.exit_code == 0, outcome.output
            (path,) = app.out.rglob("*space-T1w_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv")
            squares.append(read_relmat(path))
    for squares in found.values():
        np.testing.assert_array_equal(squares[1], squares[0])
        np.testing.assert_array_equal(squares[2], squares[0])
