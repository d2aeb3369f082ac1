"""Tractograms, their weights and labels are paired; what cannot be decided is asked."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import SessionInputs, find_session_inputs
from kraken_bids.bids.outputs import relmat_path
from kraken_bids.bids.query import ExplicitPaths, Query
from kraken_bids.bids.tractographies import Tractography
from kraken_bids.bids.transforms import TemplateOptions
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tractograms import open_tractogram
from kraken_bids.parcellations import load_parcellation

PARCELLATIONS = [load_parcellation(name) for name in ("fs86", "shen268")]


@pytest.fixture
def recon(raw: Path, tree: SimpleNamespace) -> Path:
    """QSIRecon's dwi folder of the subject, in AC-PC space, with QSIPrep's transform."""
    root = raw / "derivatives/qsirecon"
    tree.describe(root, "QSIRecon", "1.1.0")
    tree.touch(root / "sub-01/anat", "sub-01_from-anat_to-ACPC_mode-image_xfm.txt")
    tree.touch(
        root / "sub-01/dwi",
        "sub-01_space-ACPC_model-ifod2_streamlines.tck",
        "sub-01_space-ACPC_model-sdstream_streamlines.tck",
        "sub-01_space-ACPC_model-ifod2_desc-sift2_streamlineweights.csv",
        "sub-01_space-ACPC_model-sdstream_desc-sift2_streamlineweights.csv",
        "sub-01_space-ACPC_model-ifod2_desc-sift2_mu.txt",
    )
    return root / "sub-01/dwi"


def find_session(dwi: Path, **options: object) -> SessionInputs:
    root = next(p for p in dwi.parents if p.name == "study")
    (session,) = find_session_inputs(
        find_datasets(root, {}), "01", parcellations=PARCELLATIONS, **options
    )
    return session


def find(dwi: Path, **options: object) -> dict[str, Tractography]:
    session = find_session(dwi, **options)
    for problem in session.problems:
        raise problem
    return {t.algorithm: t for t in session.tractographies}


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_pairs_and_transforms(recon: Path) -> None:
    """Weights go by algorithm; points of labels pass ACPC → T1w → MNI."""
    found = find(recon)
    ifod2 = found["ifod2"]
    assert ifod2.weights
    assert ifod2.weights.name == "sub-01_space-ACPC_model-ifod2_desc-sift2_streamlineweights.csv"
    assert ifod2.mu
    assert found["sdstream"].mu is None
    assert ifod2.space == "ACPC"
    assert names(ifod2.labels["fs86"].transforms) == [
        "sub-01_from-anat_to-ACPC_mode-image_xfm.txt"
    ]
    assert names(ifod2.labels["shen268"].transforms) == [
        "sub-01_from-anat_to-ACPC_mode-image_xfm.txt",
        "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    ]


def test_freesurfer_labels_pass_three_spaces(
    recon: Path, raw: Path, tree: SimpleNamespace
) -> None:
    """aparc+aseg.mgz: ACPC → T1w → fsnative."""
    prep = raw / "derivatives/fmriprep"
    (prep / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    tree.touch(prep / "sourcedata/freesurfer", "sub-01/mri/aparc+aseg.mgz")
    assert names(find(recon)["ifod2"].labels["fs86"].transforms) == [
        "sub-01_from-anat_to-ACPC_mode-image_xfm.txt",
        "sub-01_from-fsnative_to-T1w_mode-image_xfm.txt",
    ]


def test_qsirecon_t1w_is_acpc(recon: Path, tree: SimpleNamespace) -> None:
    """QSIRecon calls AC-PC T1w: never fMRIPrep's T1w, even where the way there is not known."""
    for path in list(recon.iterdir()):
        path.rename(recon / path.name.replace("space-ACPC", "space-T1w"))
    assert find(recon)["ifod2"].space == "ACPC"
    (recon.parent / "anat/sub-01_from-anat_to-ACPC_mode-image_xfm.txt").unlink()
    session = find_session(recon)
    assert not session.tractographies
    assert any("-d qsiprep=PATH" in note for note in session.notes)
    tree.touch(recon, "sub-01_space-T1w_seg-fs86_dseg.nii.gz")
    assert set(find(recon)["ifod2"].labels) == {"fs86"}


def test_labels_beside_the_tractogram_come_first(recon: Path, tree: SimpleNamespace) -> None:
    """QSIRecon's seg-<parcellation>_dseg needs no transform."""
    tree.touch(recon, "sub-01_space-ACPC_seg-shen268_dseg.nii.gz")
    tree.touch(recon, "sub-01_space-MNI152NLin6Asym_seg-fs86_dseg.nii.gz")
    labels = find(recon)["sdstream"].labels
    assert labels["shen268"].path.name == "sub-01_space-ACPC_seg-shen268_dseg.nii.gz"
    assert labels["shen268"].transforms == ()
    assert labels["fs86"].path.name == "sub-01_desc-aparcaseg_dseg.nii.gz"


def test_other_template_takes_the_transform_between_both(
    recon: Path, raw: Path, tmp_path: Path
) -> None:
    """Only a transform of the 2009c template: the published one leads on, or the user's word."""
    anat = raw / "derivatives/fmriprep/sub-01/anat"
    old = "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
    (anat / old).rename(anat / old.replace("NLin6Asym", "NLin2009cAsym"))
    session = find_session(recon)
    assert set(session.tractographies[0].labels) == {"fs86"}
    (note,) = {note for note in session.notes if "shen268" in note}
    assert "There is a transform of MNI152NLin2009cAsym" in note
    assert "--allow-template-mismatch" in note
    allowed = ExplicitPaths(templates=TemplateOptions(allows_mismatch=True))
    session = find_session(recon, explicit=allowed)
    assert len(session.tractographies[0].labels["shen268"].transforms) == 2
    assert any("differ by millimetres" in note for note in session.notes)
    name = "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5"
    published = tmp_path / "templateflow" / "tpl-MNI152NLin2009cAsym" / name
    published.parent.mkdir(parents=True)
    published.write_bytes(b"content")
    session = find_session(recon)
    names = [p.name for p in session.tractographies[0].labels["shen268"].transforms]
    assert names[1:] == [old.replace("NLin6Asym", "NLin2009cAsym"), name]
    assert not any("millimetres" in note for note in session.notes)


@pytest.mark.parametrize(
    ("ending", "tool"),
    [
        (".vtk", "tckconvert"),
        (".tt.gz", "dsi_studio"),
        (".dpy", "DIPY"),
        (".vtp", "DIPY"),
        (".fib", "DIPY"),
        (".pdb", "software that made it"),
    ],
)
def test_formats_that_are_not_read_name_what_reads_them(
    recon: Path, tmp_path: Path, ending: str, tool: str
) -> None:
    """Found in a dataset or named by the user; MRtrix's tckconvert reads .vtk alone."""
    with pytest.raises(InputError, match=tool) as refused:
        open_tractogram(tmp_path / f"x{ending}")
    assert ("tckconvert" in str(refused.value)) is (ending == ".vtk")
    for path in recon.glob("*.tck"):
        path.rename(path.with_suffix(ending))
    notes = [note for note in find_session(recon).notes if "is passed over" in note]
    assert len(notes) == 2
    assert all(tool in note for note in notes)


def test_no_way_leaves_the_parcellation_out(recon: Path) -> None:
    """Without a transform the parcellation is left out, in plain words."""
    (recon.parent / "anat/sub-01_from-anat_to-ACPC_mode-image_xfm.txt").unlink()
    session = find_session(recon)
    assert not session.tractographies
    assert any("no transform leads from" in note for note in session.notes)


def test_no_space_entity(recon: Path) -> None:
    """A name without space- is no reason to guess."""
    for path in list(recon.iterdir()):
        path.rename(recon / path.name.replace("_space-ACPC", ""))
    session = find_session(recon)
    assert not session.tractographies
    assert any("does not say its space" in note for note in session.notes)


def test_two_of_one_algorithm(recon: Path, tree: SimpleNamespace) -> None:
    """Two iFOD2 tractograms: the user must choose, and can with the filter file."""
    tree.touch(recon, "sub-01_space-ACPC_model-ifod2_desc-10M_streamlines.tck")
    with pytest.raises(InputError, match=r"--bids-filter-file.*--tractogram"):
        find(recon)
    found = find(recon, query=Query(filters={"tractogram": {"desc": None}}))
    assert "desc-10M" not in found["ifod2"].tracks.name


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [("iFOD2", "ifod2"), ("SDStream", "sdstream"), ("SD_STREAM", "sdstream")],
)
def test_algorithm_from_the_header(
    recon: Path, method: str, algorithm: str, tree: SimpleNamespace
) -> None:
    """A name that does not say the algorithm leaves it to tckgen's header."""
    for path in recon.glob("*.tck"):
        path.unlink()
    path = recon / "sub-01_space-ACPC_tractogram.tck"
    tree.write_tck(path, [np.zeros((2, 3))], keys={"method": method})
    assert set(find(recon)) == {algorithm}


def test_unknown_algorithm_and_other_formats_are_said(recon: Path, tree: SimpleNamespace) -> None:
    """What is passed over is named."""
    tree.write_tck(
        recon / "sub-01_tractogram.tck", [np.zeros((2, 3))], keys={"method": "Tensor_Det"}
    )
    tree.touch(recon, "sub-01_model-ifod2_tractography.vtk", "sub-01_tractogram.fib")
    notes = " ".join(find_session(recon).notes)
    assert "neither its name nor its header" in notes
    assert notes.count("is passed over: only .tck, .tck.gz, .trk") == 2


def test_nameless_weights(recon: Path, tree: SimpleNamespace) -> None:
    """Weights that name no algorithm serve a lone tractogram; of two it cannot be told."""
    for path in recon.glob("*weights.csv"):
        path.unlink()
    tree.touch(recon, "sub-01_model-sift2_streamlineweights.csv")
    session = find_session(recon)
    assert all(t.weights is None for t in session.tractographies)
    assert any("--tractogram-weights" in note for note in session.notes)
    (recon / "sub-01_space-ACPC_model-sdstream_streamlines.tck").unlink()
    assert find(recon)["ifod2"].weights


@pytest.mark.parametrize(
    ("place", "name", "weights"),
    [
        ("tractogram", "sub-01_desc-iFOD2_tractogram.tck", "sub-01_desc-iFOD2_weights.csv"),
        (
            "dwi",
            "sub-01_space-dwi_desc-iFOD2-40M_tractography.tck",
            "sub-01_space-dwi_desc-iFOD2-40M_tractography_weights.txt",
        ),
        (
            "dwi",
            "sub-01_space-T1w_desc-tracks_ifod2.tck",
            "sub-01_space-T1w_siftweights_ifod2.csv",
        ),
    ],
)
def test_other_layouts(
    recon: Path, place: str, name: str, weights: str, tree: SimpleNamespace
) -> None:
    """MRtrix3_connectome, micapipe and old QSIPrep spell it otherwise."""
    for path in recon.iterdir():
        path.unlink()
    folder = recon.parent / place
    tree.touch(folder, name, weights)
    labels = {p.name: str(folder / "labels.nii.gz") for p in PARCELLATIONS}
    tree.touch(folder, "labels.nii.gz")
    found = find(recon, explicit=ExplicitPaths(parcellations=labels))
    assert found["ifod2"].weights == folder / weights


def test_explicit_paths(recon: Path, tmp_path: Path, tree: SimpleNamespace) -> None:
    """The user's paths come first; a subject without them keeps its function."""
    tree.touch(tmp_path / "tracts", "01_iFOD2.tck", "01.csv", "01_fs86.nii.gz")
    explicit = ExplicitPaths(
        tractograms=(str(tmp_path / "tracts/{subject}_iFOD2.tck"),),
        weights=(str(tmp_path / "tracts/{subject}.csv"),),
        parcellations={"fs86": str(tmp_path / "tracts/{subject}_fs86.nii.gz")},
    )
    found = find(recon, explicit=explicit)
    assert set(found) == {"ifod2"}
    assert found["ifod2"].weights == tmp_path / "tracts/01.csv"
    assert set(found["ifod2"].labels) == {"fs86"}
    assert found["ifod2"].entities["sub"] == "01"
    (tmp_path / "tracts/01_iFOD2.tck").unlink()
    session = find_session(recon, explicit=explicit)
    assert session.bold_runs
    assert any("no tractogram at" in note for note in session.notes)


def test_explicit_paths_that_are_wrong(recon: Path, tmp_path: Path, tree: SimpleNamespace) -> None:
    """A missing weights file, a missing label image and uneven lists are errors."""
    tree.touch(tmp_path, "a_ifod2.tck")
    tracts = (str(tmp_path / "a_ifod2.tck"),)
    with pytest.raises(InputError, match="--tractogram-weights"):
        find(recon, explicit=ExplicitPaths(tracts, (str(tmp_path / "no.csv"),)))
    with pytest.raises(InputError, match="one --tractogram-weights per"):
        find(recon, explicit=ExplicitPaths(tracts, ("a", "b")))
    with pytest.raises(InputError, match="--parcellation fs86="):
        find(recon, explicit=ExplicitPaths(tracts, (), {"fs86": str(tmp_path / "no.nii")}))


def test_structure_alone(recon: Path, raw: Path) -> None:
    """A subject with tractograms only is fine."""
    for path in (raw / "derivatives/fmriprep/sub-01/func").iterdir():
        path.unlink()
    assert set(find(recon)) == {"ifod2", "sdstream"}


def test_tractogram_without_session_joins_the_only_session(
    recon: Path, raw: Path, tree: SimpleNamespace
) -> None:
    """One session of fMRIPrep and a tractogram without session are one session."""
    subject = raw / "derivatives/fmriprep/sub-01"
    (subject / "ses-A").mkdir()
    (subject / "func").rename(subject / "ses-A/func")
    for path in list((subject / "ses-A/func").iterdir()):
        path.rename(path.with_name(path.name.replace("sub-01_", "sub-01_ses-A_")))
    tree.touch(recon, "sub-01_space-ACPC_seg-shen268_dseg.nii.gz")
    session = find_session(recon)
    assert session.session == "A"
    assert session.bold_runs
    tracts = session.tractographies[0]
    assert tracts.entities["ses"] == "A"
    assert tracts.labels["shen268"].transforms == ()


def test_a_tractogram_of_another_participant_is_refused(recon: Path) -> None:
    """Function goes on; the problem names the file and its folder."""
    path = recon / "sub-01_space-ACPC_model-ifod2_streamlines.tck"
    path.rename(path.with_name(path.name.replace("sub-01", "sub-02")))
    session = find_session(recon)
    assert session.bold_runs
    assert not session.tractographies
    (problem,) = session.problems
    assert f"expected files of sub-01 in {recon}; found sub-02_space-ACPC" in str(problem)


def test_a_tractogram_of_one_for_everyone_is_refused(recon: Path) -> None:
    """--tractogram without {subject} may name one subject's file only."""
    path = recon / "sub-02_space-ACPC_model-ifod2_streamlines.tck"
    (recon / path.name.replace("sub-02", "sub-01")).rename(path)
    with pytest.raises(InputError, match=r"says sub-02. Write \{subject\}"):
        find(recon, explicit=ExplicitPaths(tractograms=(str(path),)))


def test_of_two_anatomies_one_is_used_whole_and_said(
    recon: Path, raw: Path, tree: SimpleNamespace
) -> None:
    """Segmentation and transforms come from one dataset, never from two."""
    other = raw / "derivatives/other"
    tree.describe(other, "fMRIPrep", "24.1.1")
    tree.write_anat(other / "sub-01/anat", "sub-01")
    shared = raw / "derivatives/fmriprep/sub-01/anat"
    (shared / "sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    session = find_session(recon)
    ifod2 = next(t for t in session.tractographies if t.algorithm == "ifod2")
    assert "fs86" not in ifod2.labels
    assert ifod2.labels["shen268"].transforms[-1].parent == shared
    assert any("anatomy was found in" in note for note in session.notes)


def test_tractograms_of_a_cohort_take_its_own_label_image(
    raw: Path, tree: SimpleNamespace
) -> None:
    """Cohorts of one template are two spaces, for tractograms too; outputs say which."""
    root = raw / "derivatives/qsirecon"
    tree.describe(root, "QSIRecon", "1.1.0")
    dwi, space = root / "sub-01/dwi", "space-MNIInfant_cohort-{}"
    tree.touch(
        dwi,
        f"sub-01_{space.format(2)}_model-ifod2_streamlines.tck",
        *(f"sub-01_{space.format(c)}_seg-fs86_dseg.nii.gz" for c in "12"),
    )
    ifod2 = find(dwi)["ifod2"]
    assert ifod2.space == "MNIInfant+2"
    assert ifod2.labels["fs86"].path.name == f"sub-01_{space.format(2)}_seg-fs86_dseg.nii.gz"
    (dwi / f"sub-01_{space.format(2)}_seg-fs86_dseg.nii.gz").unlink()
    assert not find(dwi)
    name = relmat_path(
        Path(), ifod2.entities, parse_flavor("SCifod2act_fs86_volnorm"), source=None
    )
    assert "_space-MNIInfant_cohort-2_" in name.name


def test_a_label_image_of_the_user_says_its_cohort(
    recon: Path, tmp_path: Path, tree: SimpleNamespace
) -> None:
    """--parcellation: space and cohort of its name."""
    tree.touch(tmp_path, "tpl-MNIInfant_cohort-3_atlas-fs86_dseg.nii.gz")
    image = str(tmp_path / "tpl-MNIInfant_cohort-3_atlas-fs86_dseg.nii.gz")
    found = find(recon, explicit=ExplicitPaths(parcellations={"fs86": image}))
    assert found["ifod2"].labels["fs86"].space == "MNIInfant+3"
