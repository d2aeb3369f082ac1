"""What a subject gives is found in every layout, and what is missing is said."""

import builtins
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kraken_bids.bids import label_images
from kraken_bids.bids.datasets import find_datasets
from kraken_bids.bids.inputs import SessionInputs, find_session_inputs
from kraken_bids.bids.outputs import relmat_path
from kraken_bids.bids.query import ExplicitPaths, Query
from kraken_bids.bids.transforms import TemplateOptions
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import parse_flavor
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.measure.bold_session import group_runs
from kraken_bids.published.cache import PublishedFile
from kraken_bids.published.models import list_atlas_files
from tests.found_labels import labels_of

MNI = "MNI152NLin6Asym_res-2"
FLAVOR = parse_flavor("FCcorr_fs86_hpf")
TISSUES = ("GM", "WM", "CSF")
PARCELLATIONS = [load_parcellation(name) for name in ("fs86", "shen268", "coco439")]


def find(root: Path, **options: object) -> tuple[SessionInputs, ...]:
    parcellations = options.pop("parcellations", PARCELLATIONS)
    subject = options.pop("subject", "01")
    return find_session_inputs(
        find_datasets(root, {}), subject, parcellations=parcellations, **options
    )


def prep(root: Path) -> Path:
    return root / "derivatives/fmriprep"


def test_current_layout(raw: Path) -> None:
    """As of fMRIPrep 25.2: T1w BOLD with anat's segmentation, MNI BOLD with atlas images."""
    (session,) = find(raw)
    assert session.session is None
    assert [run.space for run in session.bold_runs] == ["T1w", "MNI152NLin6Asym"]
    t1w, mni = session.bold_runs
    assert t1w.metadata == {"RepetitionTime": 2.0}
    assert t1w.confounds.name == "sub-01_task-rest_desc-confounds_timeseries.tsv"
    assert t1w.confounds_json
    assert t1w.mask
    assert t1w.mask.name == "sub-01_task-rest_space-T1w_desc-brain_mask.nii.gz"
    assert {path.name for path in mni.tissue.values()} == {
        f"sub-01_space-{MNI}_label-{t}_probseg.nii.gz" for t in ("GM", "WM", "CSF")
    }
    assert t1w.tissue["GM"].name == "sub-01_label-GM_probseg.nii.gz"
    assert mni.entities == {"sub": "01", "task": "rest", "space": "MNI152NLin6Asym", "res": "2"}
    assert {key: image.path.name for key, image in labels_of(session).items()} == {
        ("T1w", "fs86"): "sub-01_desc-aparcaseg_dseg.nii.gz",
        ("MNI152NLin6Asym", "shen268"): "tpl-MNI152NLin6Asym_atlas-shen268_res-01_dseg.nii.gz",
        ("MNI152NLin6Asym", "coco439"): "tpl-MNI152NLin6Asym_atlas-coco439_res-01_dseg.nii.gz",
    }
    assert all(image.transforms == () for image in labels_of(session).values())
    assert session.notes == ()


def test_segmentation_beside_bold_comes_first(raw: Path, tree: SimpleNamespace) -> None:
    """Up to 23.1 the segmentation on the BOLD grid is used as it is."""
    name = "sub-01_task-rest_space-T1w_desc-aparcaseg_dseg.nii.gz"
    tree.touch(prep(raw) / "sub-01/func", name)
    (session,) = find(raw)
    assert labels_of(session)["T1w", "fs86"].path.name == name


def test_freesurfer_where_fmriprep_wrote_no_segmentation(raw: Path, tree: SimpleNamespace) -> None:
    """23.2 to 25.1: aparc+aseg.mgz, carried by from-fsnative_to-T1w."""
    (prep(raw) / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    tree.touch(prep(raw) / "sourcedata/freesurfer", "sub-01/mri/aparc+aseg.mgz")
    (session,) = find(raw)
    image = labels_of(session)["T1w", "fs86"]
    assert (image.path.name, image.space) == ("aparc+aseg.mgz", "fsnative")
    assert [t.name for t in image.transforms] == ["sub-01_from-fsnative_to-T1w_mode-image_xfm.txt"]


def test_links_to_content_that_was_not_fetched(raw: Path) -> None:
    """Links to nowhere count as found, so that reading them says how to get the content."""
    (prep(raw) / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    link = prep(raw) / "sourcedata/freesurfer/sub-01/mri/aparc+aseg.mgz"
    link.parent.mkdir(parents=True)
    link.symlink_to("../.git/annex/objects/a/b")
    assert labels_of(find(raw)[0])["T1w", "fs86"].path == link
    sidecar = prep(raw) / "sub-01/func/sub-01_task-rest_space-T1w_desc-preproc_bold.json"
    sidecar.unlink()
    sidecar.symlink_to("../.git/annex/objects/a/b")
    with pytest.raises(InputError, match="datalad get"):
        find(raw)


def test_no_segmentation_at_all(raw: Path) -> None:
    """Without any segmentation fs86 is left out, with the ways out."""
    (prep(raw) / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    (session,) = find(raw)
    assert ("T1w", "fs86") not in labels_of(session)
    assert [run.space for run in session.bold_runs] == ["MNI152NLin6Asym"]
    assert "-d freesurfer=PATH" in session.notes[0]


def test_no_t1w_bold(raw: Path, tree: SimpleNamespace) -> None:
    """Without T1w BOLD, fs86 takes the segmentation on the template's grid, else carries it."""
    func, anat = prep(raw) / "sub-01/func", prep(raw) / "sub-01/anat"
    for path in func.glob("*_space-T1w_*"):
        path.unlink()
    (session,) = find(raw)
    image = labels_of(session)["MNI152NLin6Asym", "fs86"]
    assert (image.path.name, image.space) == ("sub-01_desc-aparcaseg_dseg.nii.gz", "T1w")
    forward = "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"
    assert [path.name for path in image.transforms] == [forward]
    assert "to which the segmentation is carried" in session.notes[0]
    assert "--output-spaces T1w MNI152NLin6Asym:res-2" in session.notes[0]
    (anat / "sub-01_desc-aparcaseg_dseg.nii.gz").unlink()
    tree.touch(prep(raw) / "sourcedata/freesurfer", "sub-01/mri/aparc+aseg.mgz")
    (session,) = find(raw)
    image = labels_of(session)["MNI152NLin6Asym", "fs86"]
    assert image.path.name == "aparc+aseg.mgz"
    assert [path.name for path in image.transforms] == [
        forward, "sub-01_from-fsnative_to-T1w_mode-image_xfm.txt",
    ]  # fmt: skip
    tree.touch(func, f"sub-01_task-rest_space-{MNI}_desc-aparcaseg_dseg.nii.gz")
    (session,) = find(raw)
    assert labels_of(session)["MNI152NLin6Asym", "fs86"].space == "MNI152NLin6Asym"
    assert "where fMRIPrep also wrote the segmentation" in session.notes[0]


def test_no_way_from_t1w_to_the_bold(raw: Path) -> None:
    """Without T1w BOLD and without transforms fs86 is left out, and the flag is named."""
    for pattern in ("func/*_space-T1w_*", "anat/*_from-T1w_to-MNI*"):
        for path in (prep(raw) / "sub-01").glob(pattern):
            path.unlink()
    (session,) = find(raw)
    assert set(labels_of(session)) == {
        ("MNI152NLin6Asym", "shen268"),
        ("MNI152NLin6Asym", "coco439"),
    }
    assert "no BOLD in space T1w for fs86" in session.notes[0]
    assert "--output-spaces T1w MNI152NLin6Asym:res-2" in session.notes[0]


def rename_template(raw: Path) -> None:
    """Turn the BOLD of the atlases' template into that of fMRIPrep's default."""
    func = prep(raw) / "sub-01/func"
    for path in list(func.glob("*NLin6Asym*")):
        path.rename(func / path.name.replace("NLin6Asym", "NLin2009cAsym"))


def test_other_template_only(raw: Path) -> None:
    """BOLD in the 2009c template is not taken for NLin6 atlases; what to do is said."""
    rename_template(raw)
    (session,) = find(raw)
    assert {name for _, name in labels_of(session)} == {"fs86"}
    (note,) = [note for note in session.notes if "shen268" in note]
    for word in (
        "differ by millimetres",
        "--output-spaces MNI152NLin6Asym:res-2",
        "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5",
        "--transforms-dir",
        "--allow-template-mismatch",
    ):
        assert word in note


def test_an_image_whose_name_says_no_space_may_lie_in_the_other(raw: Path, tmp_path: Path) -> None:
    """It is taken for the published atlases' template; the way to say otherwise is its name."""
    rename_template(raw)
    image = tmp_path / "mine.nii.gz"
    image.touch()
    (session,) = find(raw, atlas_images={"shen268": str(image)})
    (note,) = [note for note in session.notes if "shen268" in note]
    assert "The name of mine.nii.gz says no space" in note
    named = tmp_path / "mine_space-MNI152NLin2009cAsym_dseg.nii.gz"
    named.touch()
    (session,) = find(raw, atlas_images={"shen268": str(named)})
    assert labels_of(session)["MNI152NLin2009cAsym", "shen268"].path == named


def test_other_template_as_it_is_if_asked_for(raw: Path) -> None:
    """The user's word makes one template of two, and the difference is said."""
    rename_template(raw)
    allowed = ExplicitPaths(templates=TemplateOptions(allows_mismatch=True))
    (session,) = find(raw, explicit=allowed)
    assert not labels_of(session)["MNI152NLin2009cAsym", "shen268"].transforms
    assert any("shen268" in n and "differ by millimetres" in n for n in session.notes)


@pytest.mark.parametrize("where", ["templateflow", "folder", "as fMRIPrep", "participant's"])
@pytest.mark.parametrize("image", ["MNI152NLin6Asym", "MNI152NLin2009cAsym"])
def test_other_template_through_the_transform_between_both(
    raw: Path, tree: SimpleNamespace, tmp_path: Path, where: str, image: str
) -> None:
    """TemplateFlow's, the user's or fMRIPrep's; only that of the right direction."""
    data = {"MNI152NLin6Asym": "MNI152NLin2009cAsym"}.get(image, "MNI152NLin6Asym")
    if image == "MNI152NLin6Asym":
        rename_template(raw)
    atlas = tmp_path / f"tpl-{image}_dseg.nii.gz"
    tree.touch(tmp_path, atlas.name, "folder/readme.txt")
    images = {"shen268": str(atlas)}
    folder = {
        "templateflow": tmp_path / "templateflow" / f"tpl-{data}",
        "participant's": prep(raw) / "sub-01/anat",
    }.get(where, tmp_path / "folder" / "below")
    name = {
        "participant's": f"sub-01_from-{image}_to-{data}_mode-image_xfm.h5",
        "as fMRIPrep": f"from-{image}_to-{data}_mode-image_xfm.h5",
    }.get(where, f"tpl-{data}_from-{image}_mode-image_xfm.h5")
    wrong = name.replace(data, "X").replace(image, data).replace("X", image)
    explicit = ExplicitPaths(templates=TemplateOptions(tmp_path / "folder"))
    tree.touch(folder, wrong, f"tpl-{data}_from-MNIColin27_mode-image_xfm.h5")
    (folder / wrong).write_bytes(b"the other way")
    (session,) = find(raw, explicit=explicit, atlas_images=images)
    assert (data, "shen268") not in labels_of(session)
    tree.touch(folder, name)
    if where != "participant's":  # as TemplateFlow leaves what is not downloaded
        (session,) = find(raw, explicit=explicit, atlas_images=images)
        assert (data, "shen268") not in labels_of(session)
        (folder / name).write_bytes(b"content")
    (session,) = find(raw, explicit=explicit, atlas_images=images)
    found = labels_of(session)[data, "shen268"]
    assert (found.space, [path.name for path in found.transforms]) == (image, [name])
    assert not any("millimetres" in note for note in session.notes)


def test_a_folder_of_transforms_that_is_none_is_refused(raw: Path, tmp_path: Path) -> None:
    """A word that was mistyped does not look as if there were no transforms."""
    rename_template(raw)
    missing = ExplicitPaths(templates=TemplateOptions(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="--transforms-dir"):
        find(raw, explicit=missing)


def test_other_template_with_transforms(raw: Path, tree: SimpleNamespace) -> None:
    """Where fMRIPrep left the transforms of both templates, atlases go exactly through T1w."""
    func = prep(raw) / "sub-01/func"
    for path in list(func.glob("*NLin6Asym*")):
        path.rename(func / path.name.replace("NLin6Asym", "NLin2009cAsym"))
    tree.touch(
        prep(raw) / "sub-01/anat",
        "sub-01_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5",
        *(f"sub-01_space-MNI152NLin2009cAsym_label-{t}_probseg.nii.gz" for t in TISSUES),
    )
    (session,) = find(raw)
    image = labels_of(session)["MNI152NLin2009cAsym", "shen268"]
    assert image.space == "MNI152NLin6Asym"
    assert [path.name for path in image.transforms] == [
        "sub-01_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5",
        "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
    ]
    assert session.notes == ()


def test_sessions_share_the_anatomy(raw: Path, tree: SimpleNamespace) -> None:
    """One entry per session; anatomy of the subject, or of the only session that has it."""
    subject = prep(raw) / "sub-03"
    for session, run in (("1", "1"), ("2", "02")):
        stem = f"sub-03_ses-{session}_task-rest_run-{run}"
        tree.write_run(subject / f"ses-{session}/func", stem)
    tree.write_anat(subject / "ses-1/anat", "sub-03_ses-1")
    found = find(raw, subject="sub-03")
    assert [s.session for s in found] == ["1", "2"]
    assert found[1].bold_runs[0].entities["run"] == "02"
    assert labels_of(found[1])["T1w", "fs86"].path.parent.parent.name == "ses-1"
    tree.write_anat(subject / "ses-2/anat", "sub-03_ses-2")
    assert labels_of(find(raw, subject="03")[1])["T1w", "fs86"].path.parent.parent.name == "ses-2"
    (second,) = find(raw, subject="03", query=Query(sessions=("ses-2",)))
    assert second.session == "2"
    with pytest.raises(InputError, match="expected sessions 9 of sub-03; found 1, 2"):
        find(raw, subject="03", query=Query(sessions=("9",)))


def test_tasks_and_filters(raw: Path, tree: SimpleNamespace) -> None:
    """--task-id and the filter file leave runs out."""
    tree.write_run(prep(raw) / "sub-01/func", "sub-01_task-nback_acq-x_run-1")
    (session,) = find(raw, query=Query(tasks=("rest",)))
    assert {run.entities["task"] for run in session.bold_runs} == {"rest"}
    (session,) = find(raw, query=Query(filters={"bold": {"acquisition": "x", "run": 1}}))
    assert {run.entities["task"] for run in session.bold_runs} == {"nback"}


def test_echoes_are_skipped_and_res_2_is_preferred(raw: Path, tree: SimpleNamespace) -> None:
    """Single echoes are no runs; of several resolutions res-2 is used and said."""
    func = prep(raw) / "sub-01/func"
    tree.touch(func, "sub-01_task-rest_echo-1_space-T1w_desc-preproc_bold.nii.gz")
    tree.touch(func, "sub-01_task-rest_space-MNI152NLin6Asym_res-1_desc-preproc_bold.nii.gz")
    (session,) = find(raw)
    assert len(session.bold_runs) == 2
    assert session.bold_runs[1].entities["res"] == "2"
    assert any("2 BOLD series fit" in note for note in session.notes)


def test_series_that_ica_aroma_cleaned(raw: Path, tree: SimpleNamespace) -> None:
    """They are taken where they are asked for, and only then; without one, that is said."""
    query = Query(bold_desc="smoothAROMAnonaggr")
    with pytest.raises(InputError, match="no desc-smoothAROMAnonaggr_bold"):
        find(raw, query=query)
    name = f"sub-01_task-rest_space-{MNI}_desc-smoothAROMAnonaggr_bold.nii.gz"
    tree.touch(prep(raw) / "sub-01/func", name)
    (session,) = find(raw, query=query)
    assert [run.bold.name for run in session.bold_runs] == [name]
    assert session.bold_runs[0].confounds.name == "sub-01_task-rest_desc-confounds_timeseries.tsv"
    (session,) = find(raw)
    assert not any("AROMA" in run.bold.name for run in session.bold_runs)


def test_old_confounds_name(raw: Path) -> None:
    """Up to fMRIPrep 20.1 they were desc-confounds_regressors."""
    func = prep(raw) / "sub-01/func"
    new = "sub-01_task-rest_desc-confounds_regressors.tsv"
    (func / "sub-01_task-rest_desc-confounds_timeseries.tsv").rename(func / new)
    (session,) = find(raw)
    assert session.bold_runs[0].confounds.name == new
    assert session.bold_runs[0].confounds_json is None


def test_no_mask(raw: Path) -> None:
    """A run without brain mask is used, and that is said."""
    (prep(raw) / "sub-01/func/sub-01_task-rest_space-T1w_desc-brain_mask.nii.gz").unlink()
    (session,) = find(raw)
    assert [run.mask is None for run in session.bold_runs] == [True, False]
    assert any("no brain mask beside sub-01_task-rest_space-T1w" in n for n in session.notes)


def test_no_confounds(raw: Path) -> None:
    """A run without confounds is an error that names the file expected."""
    path = prep(raw) / "sub-01/func/sub-01_task-rest_desc-confounds_timeseries.tsv"
    path.unlink()
    with pytest.raises(InputError, match=str(path)):
        find(raw)


def test_level_minimal(raw: Path) -> None:
    """Transforms without BOLD mean --level minimal; the message names --level full."""
    func = prep(raw) / "sub-01/func"
    for path in func.glob("*preproc*"):
        path.unlink()
    with pytest.raises(InputError, match="--level full"):
        find(raw)


def test_cifti_only(raw: Path, tree: SimpleNamespace) -> None:
    """Surface series alone are said."""
    func = prep(raw) / "sub-01/func"
    for path in func.iterdir():
        path.unlink()
    tree.touch(func, "sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii")
    with pytest.raises(InputError, match="only surface BOLD"):
        find(raw)


def test_nothing(raw: Path) -> None:
    """Nothing usable: where was searched, and which flags give it."""
    (prep(raw) / "sub-07").mkdir()
    with pytest.raises(InputError) as caught:
        find(raw, subject="07")
    for part in (str(prep(raw) / "sub-07"), "--output-spaces T1w", "QSIRecon", "_streamlines.tck"):
        assert part in str(caught.value)


def test_custom_atlas_image(raw: Path, tmp_path: Path, tree: SimpleNamespace) -> None:
    """--atlas is used before the datasets; its name says its space; a missing file is an error."""
    tree.touch(tmp_path, "own/sub-01_space-T1w_atlas-shen268_dseg.nii.gz")
    template = str(tmp_path / "own/sub-{subject}_space-T1w_atlas-shen268_dseg.nii.gz")
    (session,) = find(raw, atlas_images={"shen268": template})
    assert ("T1w", "shen268") in labels_of(session)
    with pytest.raises(InputError, match="--atlas shen268="):
        find(raw, atlas_images={"shen268": str(tmp_path / "no.nii.gz")})


def test_atlas_from_the_cache(
    raw: Path, tmp_path: Path, tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloaded atlas images are the last resort; without them the note says how to get them.

    One that is not the published file is refused.
    """
    for path in (raw / "derivatives/atlases").rglob("*shen268*"):
        path.unlink()
    (session,) = find(raw)
    assert any("shen268_MNI1mm_dil1.nii.gz into" in note for note in session.notes)
    tree.touch(tmp_path / "cache/atlases", "shen268_MNI1mm_dil1.nii.gz")
    with pytest.raises(InputError, match="expected the published label image of shen268"):
        find(raw)
    published = [
        PublishedFile(file.name, file.urls, hashlib.sha256(b"").hexdigest())
        for file in list_atlas_files()
    ]
    monkeypatch.setattr(label_images, "list_atlas_files", lambda: published)
    (session,) = find(raw)
    assert labels_of(session)["MNI152NLin6Asym", "shen268"].path.parent.name == "atlases"


def test_uneven_runs(raw: Path, tree: SimpleNamespace) -> None:
    """A run that lacks a space is said."""
    func = prep(raw) / "sub-01/func"
    tree.write_run(func, "sub-01_task-rest_run-2", spaces=("T1w",))
    (session,) = find(raw)
    assert "1 of 2 runs have no BOLD in space MNI152NLin6Asym" in session.notes[0]


def test_second_fmriprep_yields(raw: Path, tree: SimpleNamespace) -> None:
    """Of two datasets with the same run the first is used, and this is said."""
    tree.describe(raw / "derivatives/old", "fMRIPrep", "20.2.7")
    tree.write_run(raw / "derivatives/old/sub-01/func", "sub-01_task-rest")
    (session,) = find(raw)
    assert {run.bold.parents[2].name for run in session.bold_runs} == {"fmriprep"}
    (note,) = session.notes
    assert "2 BOLD series of" in note
    assert "are left aside" in note


def test_only_own_folders_are_listed(
    raw: Path, monkeypatch: pytest.MonkeyPatch, tree: SimpleNamespace
) -> None:
    """Other subjects' folders are never read: cost does not grow with the cohort."""
    for i in range(5):
        tree.write_run(prep(raw) / f"sub-9{i}/func", f"sub-9{i}_task-rest")
    datasets = find_datasets(raw, {})
    seen: list[str] = []
    for module, name in ((os, "scandir"), (os, "listdir"), (builtins, "open")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module,
            name,
            lambda path, *a, real=real, **k: seen.append(str(path)) or real(path, *a, **k),
        )
    find_session_inputs(datasets, "01", parcellations=PARCELLATIONS)
    assert seen
    assert not [path for path in seen if "sub-9" in path]


def misname(folder: Path, old: str, new: str, pattern: str = "*") -> None:
    """Rename files as a copy that went wrong leaves them."""
    for path in sorted(folder.glob(pattern)):
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.mark.parametrize("pattern", ["*", "*_bold.nii.gz"])
def test_bold_of_another_participant_is_refused(
    raw: Path, tree: SimpleNamespace, pattern: str
) -> None:
    """Files called sub-01 in the folder sub-02: whose data they are cannot be told."""
    func = prep(raw) / "sub-02/func"
    tree.write_run(func, "sub-02_task-rest")
    tree.write_anat(prep(raw) / "sub-02/anat", "sub-02")
    misname(func, "sub-02", "sub-01", pattern)
    with pytest.raises(InputError, match=rf"expected files of sub-02 in {func}; found sub-01_"):
        find(raw, subject="02")
    (session,) = find(raw)
    assert session.notes == ()


def test_bold_of_another_session_is_refused(raw: Path, tree: SimpleNamespace) -> None:
    """The other session, and what is not asked for, do no harm."""
    subject = prep(raw) / "sub-02"
    for label in "12":
        tree.write_run(subject / f"ses-{label}/func", f"sub-02_ses-{label}_task-rest")
    tree.write_anat(subject / "anat", "sub-02")
    misname(subject / "ses-2/func", "ses-2", "ses-1")
    first, second = find(raw, subject="02")
    assert (first.session, first.problems) == ("1", ())
    assert not second.bold_runs
    assert "expected files of sub-02_ses-2" in str(second.problems[0])
    (first,) = find(raw, subject="02", query=Query(sessions=("1",)))
    assert not first.problems


def test_misnamed_anatomy_is_not_used(raw: Path) -> None:
    """It is named, and what it would have given is missing."""
    name = "sub-01_desc-aparcaseg_dseg.nii.gz"
    misname(prep(raw) / "sub-01/anat", "sub-01_desc", "sub-10_desc", name)
    (session,) = find(raw)
    assert ("T1w", "fs86") not in labels_of(session)
    assert any("sub-10_desc-aparcaseg_dseg.nii.gz: not read" in note for note in session.notes)


def test_names_of_outputs_come_from_the_session(raw: Path, tree: SimpleNamespace) -> None:
    """A name without ses- in a session's folder, and one with it outside of any."""
    subject = prep(raw) / "sub-02"
    tree.write_run(subject / "ses-1/func", "sub-02_task-rest")
    tree.write_run(subject / "func", "sub-02_ses-2_task-rest")
    tree.write_anat(subject / "anat", "sub-02")
    first, second = find(raw, subject="02")
    assert [s.session for s in (first, second)] == ["1", "2"]
    for session in (first, second):
        for run in session.bold_runs:
            assert run.entities["sub"] == "02"
            assert run.entities["ses"] == session.session


def test_one_run_of_one_participant_is_left_out(raw: Path, tree: SimpleNamespace) -> None:
    """--exclude-runs; what it says of others is none of this subject's business."""
    for run in "12":
        tree.write_run(prep(raw) / "sub-01/func", f"sub-01_task-nback_run-{run}")
    query = Query(excluded=("sub-01_task-nback_run-2", "sub-07_task-rest_run-1", "run-9"))
    (session,) = find(raw, query=query)
    names = {(r.entities["task"], r.entities.get("run")) for r in session.bold_runs}
    assert names == {("rest", None), ("nback", "1")}


def test_exclusions_that_leave_nothing_out_are_refused(raw: Path) -> None:
    """A slip of the pen would let a bad run in without a word."""
    with pytest.raises(InputError, match=r"--exclude-runs sub-01_task-rets.*Check its spelling"):
        find(raw, query=Query(excluded=("sub-01_task-rets",)))


@pytest.mark.parametrize("entity", ["rec-nordic", "ce-gd", "acq-fast", "part-mag"])
def test_versions_are_not_joined_and_said(raw: Path, tree: SimpleNamespace, entity: str) -> None:
    """What differs in more than run- and dir- is measured apart, and that is said."""
    for run in "12":
        stem = f"sub-01_task-rest_{entity}_run-{run}"
        tree.write_run(prep(raw) / "sub-01/func", stem.replace("part-mag_run-1", "run-1_part-mag"))
    (session,) = find(raw)
    (note,) = session.notes
    assert entity in note
    assert "not joined" in note
    groups = [group for group in group_runs(session) if group.space == "T1w"]
    assert sorted(len(group.runs) for group in groups) == [1, 2]
    names = [relmat_path(Path(), g.entities, FLAVOR, source=None).name for g in groups]
    assert len(set(names)) == 2


def test_runs_and_directions_are_joined(raw: Path, tree: SimpleNamespace) -> None:
    """As HCP's four runs are; there is nothing to say."""
    func = prep(raw) / "sub-02/func"
    for number, direction in ((1, "AP"), (2, "AP"), (1, "PA")):
        tree.write_run(func, f"sub-02_task-rest_dir-{direction}_run-{number}")
    tree.write_anat(prep(raw) / "sub-02/anat", "sub-02")
    (session,) = find(raw, subject="02")
    assert session.notes == ()
    assert [len(group.runs) for group in group_runs(session)] == [3, 3]


def test_versions_without_a_name_of_their_own_are_refused(
    raw: Path, tree: SimpleNamespace
) -> None:
    """What names of outputs cannot say would overwrite each other."""
    tree.write_run(prep(raw) / "sub-01/func", "sub-01_task-rest_denoise-x")
    with pytest.raises(InputError, match="denoise-x"):
        find(raw, parcellations=PARCELLATIONS[:1])
