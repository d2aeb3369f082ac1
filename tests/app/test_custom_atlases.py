"""An atlas of the user's own: measured like any other, and known to models trained on it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.models.krakencoder.recipe import TrainingSettings
from kraken_bids.pipeline.model_training import train_files
from kraken_bids.pipeline.train.training_options import TrainingOptions

pytestmark = pytest.mark.usefixtures("without_pictures")

FUNCTION = ("FCcorrHPF", "FCcorrHPFGSR", "FCpcorrHPF")
LABELS = (3, 7, 40, 1000)
"""Gaps in the numbers."""
SPACE = "MNI152NLin6Asym"


def find_bold(app: Any) -> Path:
    """First run of a participant in the template's space."""
    return next(app.world.bids.rglob(f"sub-01*run-01_space-{SPACE}*_desc-preproc_bold.nii.gz"))


def draw_atlas(app: Any, *, fraction: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels [x, y, z] on the BOLD grid, a slab of the brain each; and the affine."""
    bold = find_bold(app)
    brain = nibabel.load(str(bold).replace("preproc_bold", "brain_mask"))
    inside = np.asanyarray(brain.dataobj) > 0
    rank = np.cumsum(inside.ravel()).reshape(inside.shape)
    slab = np.minimum(len(LABELS) * rank // (rank.max() + 1), len(LABELS) - 1)
    return np.where(inside, np.array(LABELS)[slab] + fraction, 0), brain.affine


def save(path: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def atlas(app: Any, tmp_path: Path) -> Path:
    labels, affine = draw_atlas(app)
    return save(tmp_path / "atlas.nii.gz", labels.astype(np.int16), affine)


def measure(app: Any, *words: object, level: str = "participant", subjects: str = "01") -> Any:
    """Run without a model and without the package's atlases, function only."""
    flavors = [f"{measure}_mine_{how}" for measure, how in (("FCcorr", "hpf"), ("FCpcorr", "hpf"))]
    bids = app.bids if app.bids.exists() else app.world.bids
    return app.invoke(
        *(bids, app.out, level, "--participant-label", *subjects.split()),
        *("--atlases", "mine", "--flavors", *flavors, *words),
    )


def list_func(app: Any, ending: str) -> list[Path]:
    return sorted((app.out / "sub-01" / "func").glob(f"*_space-{SPACE}_atlas-mine_{ending}"))


def read_matrix(app: Any, meas: str = "FCcorrHPF") -> np.ndarray:
    (path,) = list_func(app, f"meas-{meas}_relmat.dense.tsv")
    return read_relmat(path)


def read_coverage(app: Any) -> dict[str, np.ndarray]:
    (path,) = list_func(app, "coverage.tsv")
    return read_columns(path)


def test_only_custom_atlases_need_no_model(app: Any, atlas: Path) -> None:
    """Series, coverage, matrices, table and report are written though no model can be had."""
    outcome = measure(app, "--atlas", f"mine={atlas}", "--model", "/no/such/model")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("mine: measured, and not used for prediction", "no model is loaded")
    assert app.measured("01") == ["atlas-mine_meas-FCcorrHPF", "atlas-mine_meas-FCpcorrHPF"]
    names = [f"mine_{label}" for label in LABELS]
    for path in list_func(app, "timeseries.tsv"):
        assert list(read_columns(path)) == names
    table = read_columns(app.out / "atlas-mine_dseg.tsv")
    assert table["index"].tolist() == list(LABELS)
    assert table["name"].tolist() == names
    coverage = read_coverage(app)
    assert coverage["index"].tolist() == list(LABELS)
    assert (coverage["coverage"] > 0.9).all()
    page = (app.out / "sub-01.html").read_text()
    assert "mine is an atlas of your own" in page
    assert "not used for prediction" in page
    assert not list(app.out.rglob("*kraken_*"))


def test_means_are_those_of_nilearns_masker(app: Any, atlas: Path) -> None:
    """Region means before cleaning equal NiftiLabelsMasker's."""
    from nilearn.maskers import NiftiLabelsMasker

    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    (path,) = list((app.out / "sub-01" / "func").glob("*run-01*atlas-mine_timeseries.tsv"))
    ours = np.stack(list(read_columns(path).values()), axis=1)
    masker = NiftiLabelsMasker(str(atlas), standardize=None)
    np.testing.assert_allclose(ours, masker.fit_transform(str(find_bold(app))), rtol=1e-5)


def test_a_custom_atlas_beside_those_of_the_model(app: Any, atlas: Path) -> None:
    """Both are measured, also structure; predictions are those of the model's atlases alone."""
    flavors = ("FCcorr_fs86_hpf", "FCcorr_mine_hpf", "SCifod2act_mine_volnorm")
    outcome = app.participant(
        *("--participant-label", "01", "--atlas", f"mine={atlas}"), flavors=flavors
    )
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("mine: measured, and not used for prediction: no model knows this atlas")
    assert app.measured("01") == [
        *("atlas-fs86_meas-FCcorrHPF", "atlas-mine_meas-FCcorrHPF"),
        "atlas-mine_meas-SCifod2actVN",
    ]
    assert app.is_finished("01")
    assert not list(app.out.rglob("*atlas-mine*kraken_relmat*"))
    sidecar = app.sidecar("01", "atlas-mine_meas-FCcorrHPF_relmat")
    assert sidecar["NodesFile"] == "bids::atlas-mine_dseg.tsv"
    assert not sidecar["UsableAsInput"]
    counts = app.sidecar("01", "atlas-mine_meas-SCifod2actVN_relmat")["Streamlines"]
    assert counts["n_both"] > 0
    page = (app.out / "sub-01.html").read_text()
    assert "FCcorr_mine_hpf" in page
    assert "mine is an atlas of your own" in page


def test_the_group_level_keeps_custom_atlases(app: Any, atlas: Path) -> None:
    """With the model's atlases the group predicts, without them it writes quality; both end 0."""
    words = ("--atlas", f"mine={atlas}")
    flavors = ("FCcorr_fs86_hpf", "FCcorr_mine_hpf")
    assert app.participant(*words, flavors=flavors).exit_code == 0
    outcome = app.group(*words)
    assert outcome.exit_code == 0, outcome.output
    flavor = read_columns(app.out / "group" / "qc.tsv")["flavor"]
    assert sorted(set(flavor)) == sorted(flavors)
    assert (app.out / "group" / "adaptation.h5").is_file()
    app.out = app.out.with_name("own_only")
    assert measure(app, *words, subjects="01 02").exit_code == 0
    outcome = app.invoke(app.world.bids, app.out, "group", "--model", "/no/such/model")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("quality only, no predictions")
    assert (app.out / "group.html").is_file()
    assert set(read_columns(app.out / "group" / "qc.tsv")["used_as_input"]) == {0}


@pytest.mark.parametrize("how", ["beside", "after a comma"])
def test_names_and_order_come_from_the_table(
    app: Any, atlas: Path, tmp_path: Path, how: str
) -> None:
    """Rows are regions, in their order; 0 is background; absent NaN; unnamed said and left out."""
    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    plain = read_matrix(app)
    app.out = tmp_path / "named"
    rows = ["index\tname", "0\tBackground", "1000\tz", "99\tgone", "3\ta", "7\tb"]
    table = tmp_path / ("atlas.tsv" if how == "beside" else "other.tsv")
    table.write_text("\n".join(rows) + "\n")
    word = f"mine={atlas}" + ("" if how == "beside" else f",{table}")
    outcome = measure(app, "--atlas", word)
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("mine: 1 label(s) without a row", table.name, "40")
    coverage = read_coverage(app)
    assert coverage["name"].tolist() == ["z", "gone", "a", "b"]
    assert coverage["coverage"][1] == coverage["n_voxels"][1] == 0
    square = read_matrix(app)
    assert np.isnan(square[1]).all()
    assert np.isnan(square[:, 1]).all()
    order = [LABELS.index(label) for label in (1000, 3, 7)]
    there = np.ix_([0, 2, 3], [0, 2, 3])
    np.testing.assert_allclose(square[there], plain[np.ix_(order, order)], atol=2e-6)
    assert app.sidecar("01", "atlas-mine_meas-FCcorrHPF_relmat")["MissingRegions"] == ["gone"]


def test_a_shifted_finer_float_grid_gives_the_same_regions(app: Any, atlas: Path) -> None:
    """Whole numbers as floats, on half the voxel size and cropped, go by nearest label."""
    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    wanted = [path.read_text() for path in list_func(app, "coverage.tsv")]
    labels, affine = draw_atlas(app)
    fine = np.kron(labels, np.ones((2, 2, 2)))[2:, :-2].astype(np.float32)
    finer = affine.copy()
    finer[:3, :3] /= 2
    finer[:3, 3] += finer[:3, :3] @ ([2, 0, 0] - np.full(3, 0.5))
    app.out = app.out.with_name("fine")
    image = save(atlas.with_name("fine.nii.gz"), fine, finer)
    assert measure(app, "--atlas", f"mine={image}").exit_code == 0
    assert [path.read_text() for path in list_func(app, "coverage.tsv")] == wanted


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fractions", "fractional"),
        ("probabilistic", "not a probabilistic atlas"),
        ("nothing", "nothing.nii.gz"),
        ("one region", "expected 2 to 6000 regions of mine"),
    ],
)
def test_what_is_no_parcellation_is_refused(
    app: Any, tmp_path: Path, kind: str, said: str
) -> None:
    """Exit code 3 and a sentence, before anything is measured."""
    labels, affine = draw_atlas(app, fraction=0.25 * (kind == "fractions"))
    if kind == "probabilistic":
        labels = np.stack([labels > 0, labels > 5], axis=3).astype(np.float32)
    if kind == "one region":
        labels = (labels > 0).astype(np.int16)
    image = tmp_path / "nothing.nii.gz"
    if kind != "nothing":
        save(image, labels, affine)
    outcome = measure(app, "--atlas", f"mine={image}")
    assert outcome.exit_code == 3
    assert outcome.says(said, image)
    assert not app.out.exists()


def test_an_image_elsewhere_is_refused(app: Any, tmp_path: Path) -> None:
    """Without a voxel inside the run's field of view the participant fails with both paths."""
    labels, affine = draw_atlas(app)
    affine = affine.copy()
    affine[0, 3] += 500
    image = save(tmp_path / "far.nii.gz", labels.astype(np.int16), affine)
    outcome = measure(app, "--atlas", f"mine={image}")
    assert outcome.exit_code == 3
    assert outcome.says(image, "in the same space as the data", f"space-{SPACE}")


def test_one_image_per_participant_needs_one_table(app: Any, tmp_path: Path) -> None:
    """{subject} and {session} stand for labels, and the table says everyone's regions."""
    labels, affine = draw_atlas(app)
    template = tmp_path / f"sub-{{subject}}_space-{SPACE}_dseg.nii.gz"
    save(Path(str(template).format(subject="01")), labels.astype(np.int16), affine)
    outcome = measure(app, "--atlas", f"mine={template}")
    assert outcome.exit_code == 3
    assert outcome.says("expected a table of names for mine", "mine=IMAGE,NAMES.tsv")
    table = tmp_path / "names.tsv"
    table.write_text("index\tlabel\n" + "".join(f"{label}\tr{label}\n" for label in LABELS))
    outcome = measure(app, "--atlas", f"mine={template},{table}")
    assert outcome.exit_code == 0, outcome.output
    assert read_coverage(app)["name"].tolist() == [f"r{label}" for label in LABELS]
    outcome = measure(app, "--atlas", f"mine={template},{table}", subjects="02")
    assert outcome.exit_code == 3
    assert outcome.says("expected the label image of mine", "sub-02_space")


def test_other_regions_of_the_same_name_are_refused(app: Any, atlas: Path, tmp_path: Path) -> None:
    """OUTPUT_DIR holds one atlas per name, so that everyone's matrices have the same rows."""
    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    (tmp_path / "atlas.tsv").write_text("index\tname\n3\ta\n7\tb\n")
    outcome = measure(app, "--atlas", f"mine={atlas}")
    assert outcome.exit_code == 3
    assert outcome.says("atlas-mine_dseg.tsv", "another name")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--atlas", "my-atlas=x.nii.gz"), "letters and digits"),
        (("--atlases", "mine"), "--atlas NAME=DSEG"),
        (("--atlas", "shen268=x.nii.gz,names.tsv"), "those of the model"),
    ],
)
def test_wrong_words_are_usage(app: Any, words: tuple[str, ...], said: str) -> None:
    """Names that BIDS does not allow, atlases without image, tables for the model's atlases."""
    outcome = app.invoke(app.world.bids, app.out, "participant", *words)
    assert outcome.exit_code == 2
    assert outcome.says(said)


def test_a_changed_name_is_a_change(app: Any, atlas: Path, tmp_path: Path) -> None:
    """A run is skipped where nothing changed, and redone where the order of regions did."""
    table = tmp_path / "atlas.tsv"
    rows = [f"{label}\tr{label}" for label in LABELS]
    table.write_text("\n".join(["index\tname", *rows]) + "\n")
    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    before = read_matrix(app)
    assert measure(app, "--atlas", f"mine={atlas}").says("up to date, skipped")
    table.write_text("\n".join(["index\tname", *rows[::-1]]) + "\n")
    (app.out / "atlas-mine_dseg.tsv").unlink()
    assert not measure(app, "--atlas", f"mine={atlas}").says("up to date, skipped")
    np.testing.assert_allclose(read_matrix(app), before[::-1, ::-1], atol=2e-6)


def test_the_output_is_bids(app: Any, atlas: Path) -> None:
    """bids-validator accepts an output with an atlas of the user's own."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.is_file():
        pytest.skip("bids-validator-deno is not installed")
    assert measure(app, "--atlas", f"mine={atlas}").exit_code == 0
    result = subprocess.run(
        [validator, str(app.out), "--ignoreWarnings"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_a_few_nuclei_hold_few_streamlines(app: Any, tmp_path: Path) -> None:
    """Structure of an atlas of four regions is measured; that few ends lie there is said."""
    table = tmp_path / "names.tsv"
    table.write_text("index\tname\n10\tLthal\n49\tRthal\n17\tLhip\n53\tRhip\n")
    anat = app.world.bids / "derivatives/fmriprep/sub-{subject}/anat"
    word = f"mine={anat}/sub-{{subject}}_desc-aparcaseg_dseg.nii.gz,{table}"
    outcome = measure(app, "--atlas", word, "--flavors", "SCifod2act_mine_volnorm", subjects="03")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("mine is measured all the same", "streamline ends lie near a region")
    assert app.measured("03")[-1] == "atlas-mine_meas-SCifod2actVN"


def train_own(folder: Path, *, regions: int = len(LABELS), names: bool = True) -> Path:
    """Train a model on connectomes of this atlas, of people who do not exist."""
    rng = np.random.default_rng(0)
    n_edges = regions * (regions - 1) // 2
    edges = np.clip(rng.normal(0.3, 0.2, (12, n_edges)), -0.9, 0.9)
    flavors = {f"{measure}_mine_hpf": edges for measure in ("FCcorr", "FCpcorr")}
    np.savez(folder / "cohort.npz", subjects=[f"{k:02d}" for k in range(12)], **flavors)
    table = folder / "mine.tsv"
    rows = "".join(f"{label}\tmine_{label}\n" for label in LABELS)
    table.write_text(f"index\tname\n{rows}")
    settings = TrainingSettings(
        transform="pca3", latent_size=3, batch_size=4, n_epochs=1, device="cpu"
    )
    atlases = {"mine": table} if names else {}
    options = TrainingOptions(settings=settings, atlases=atlases, test_share=0)
    train_files([str(folder / "cohort.npz")], folder / "own_model", options)
    return folder / "own_model"


def test_a_model_of_the_own_atlas_predicts_it(app: Any, atlas: Path, tmp_path: Path) -> None:
    """Measured, encoded, predicted, shown; at both levels."""
    words = ("--atlas", f"mine={atlas}", "--model", train_own(tmp_path))
    outcome = measure(app, *words, "--sources", "each", subjects="01 02")
    assert outcome.exit_code == 0, outcome.output
    assert "not used for prediction" not in outcome.output
    predicted = list(app.out.rglob("sub-01*atlas-mine*kraken_relmat.dense.tsv"))
    assert len(predicted) == 4
    assert read_relmat(predicted[0]).shape == (4, 4)
    assert app.sidecar("01", "atlas-mine_meas-FCcorrHPF_relmat")["UsableAsInput"]
    page = (app.out / "sub-01.html").read_text()
    assert "is an atlas of your own" not in page
    outcome = app.invoke(app.world.bids, app.out, "group", "--model", words[-1])
    assert outcome.exit_code == 0, outcome.output
    latents = read_columns(app.out / "group" / "latents.tsv")
    assert {"fusion", "fusionFC", "FCcorr_mine_hpf"} <= set(latents["source"])


def test_regions_in_another_order_are_no_input(app: Any, atlas: Path, tmp_path: Path) -> None:
    """Every edge would be another one: the model's table decides."""
    table = tmp_path / "other.tsv"
    rows = "".join(f"{label}\tmine_{label}\n" for label in reversed(LABELS))
    table.write_text(f"index\tname\n{rows}")
    model = train_own(tmp_path)
    outcome = measure(app, "--atlas", f"mine={atlas},{table}", "--model", model)
    assert outcome.exit_code == 5, outcome.output
    assert outcome.says("found mine_1000 in place 1, where it has mine_3")


def test_an_atlas_of_another_size_is_no_input(app: Any, atlas: Path, tmp_path: Path) -> None:
    """Also of a model that was trained without a table."""
    outcome = measure(
        app, "--atlas", f"mine={atlas}", "--model", train_own(tmp_path, regions=5, names=False)
    )
    assert outcome.exit_code == 5, outcome.output
    assert outcome.says("expected the 5 regions of mine", "found 4")
