"""``kraken-tools fc`` gives the masker's means, the app's connectomes, and takes any atlas."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.demo.formats import write_composite_transform
from kraken_bids.io.digests import fingerprint
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table

N_VOLUMES, TR = 120, 2.0
SHAPE = (11, 12, 10)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -12], [0, 0, 2.5, -7], [0, 0, 0, 1]])
LABELS = (2, 5, 7, 30, 1001)
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    text: str
    """Both streams, white space folded."""


@dataclass(frozen=True)
class Case:
    """A run with motion confounds and a label image with gaps, and the folder of the outputs."""

    folder: Path

    def run(self, *words, denoise="24p"):
        """Run kraken-tools fc; words that come first replace the label image."""
        labels = ["--labels", f"mine={self.folder / 'atlas.nii.gz'}"]
        return invoke(
            self.folder / "bold.nii.gz",
            *(words if "--labels" in words else [*labels, *words]),
            *("--confounds", self.folder / "confounds.tsv"),
            *("--denoise", denoise, "--output-dir", self.folder / "out"),
        )

    def table(self, name):
        """Columns of an output."""
        return read_columns(self.folder / "out" / name)

    def matrix(self, name):
        """Cells of an output."""
        return read_relmat(self.folder / "out" / name)

    def sidecar(self, name):
        """Content of a sidecar."""
        return json.loads((self.folder / "out" / name).read_text())


def invoke(*words):
    result = CliRunner().invoke(main, ["fc", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return Outcome(result.exit_code, " ".join(result.output.split()))


def draw_labels(values=LABELS, shape=SHAPE):
    """Slabs along the second axis, with background between them."""
    image = np.zeros(shape, np.int16)
    for i, value in enumerate(values):
        image[1:-1, 1 + 2 * i : 3 + 2 * i, 1:-1] = value
    return image


def save(array, path, affine=AFFINE):
    nib.save(nib.Nifti1Image(array, affine), path)


def write_confounds(path, n_rows=N_VOLUMES):
    rng = np.random.default_rng(4)
    motion = np.cumsum(rng.normal(0, 0.01, (n_rows, 6)), axis=0)
    lines = ["\t".join(MOTION), *("\t".join(f"{v:.6f}" for v in row) for row in motion)]
    path.write_text("\n".join(lines) + "\n")


def make_case(folder):
    rng = np.random.default_rng(2)
    series = rng.normal(1000, 20, (*SHAPE, N_VOLUMES))
    series += 30 * np.cumsum(rng.normal(size=N_VOLUMES)) / np.sqrt(N_VOLUMES)
    series[draw_labels() == 7] += rng.normal(0, 40, N_VOLUMES)
    image = nib.Nifti1Image(series.astype(np.float32), AFFINE)
    image.header.set_zooms((2, 2, 2.5, TR))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, folder / "bold.nii.gz")
    save(draw_labels(), folder / "atlas.nii.gz")
    write_confounds(folder / "confounds.tsv")
    return Case(folder)


@pytest.fixture
def case(tmp_path):
    return make_case(tmp_path)


def test_means_are_those_of_nilearns_masker(case):
    """Region means before cleaning equal NiftiLabelsMasker's, label by label."""
    from nilearn.maskers import NiftiLabelsMasker

    assert case.run().exit_code == 0
    masker = NiftiLabelsMasker(str(case.folder / "atlas.nii.gz"), standardize=None)
    wanted = masker.fit_transform(str(case.folder / "bold.nii.gz"))
    table = case.table("mine_timeseries.tsv")
    assert list(table) == [f"mine_{value}" for value in LABELS]
    np.testing.assert_allclose(np.stack(list(table.values()), axis=1), wanted, rtol=1e-6)


def test_regions_of_an_unknown_atlas_are_its_labels_in_ascending_order(case):
    """Gaps in the numbers are no regions, and the coverage table says which label is which."""
    assert case.run().exit_code == 0
    coverage = case.table("mine_coverage.tsv")
    assert coverage["index"].tolist() == list(LABELS)
    labels = draw_labels()
    assert coverage["n_voxels"].tolist() == [(labels == value).sum() for value in LABELS]
    assert coverage["coverage"].tolist() == [1.0] * len(LABELS)
    assert case.matrix("FCcorr_mine_hpf.tsv").shape == (5, 5)


def test_a_lesion_belongs_to_no_region(case):
    """Means are of the voxels outside; regions inside it are missing, and both are said."""
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[:, :4] = 1  # all of the first region, half of the second
    save(lesion, case.folder / "lesion.nii.gz")
    assert case.run("--lesion-mask", case.folder / "lesion.nii.gz").exit_code == 0
    coverage = case.table("mine_coverage.tsv")
    assert coverage["lesioned"].tolist() == [1, 0.5, 0, 0, 0]
    assert coverage["coverage"].tolist() == [0, 0.5, 1, 1, 1]
    series = nib.load(case.folder / "bold.nii.gz").get_fdata()
    wanted = series[(draw_labels() == LABELS[1]) & (lesion == 0)].mean(axis=0)
    found = case.table("mine_timeseries.tsv")
    np.testing.assert_allclose(found[f"mine_{LABELS[1]}"], wanted, rtol=1e-6)
    told = case.sidecar("FCcorr_mine_hpf.json")
    assert told["MissingRegions"] == ["mine_2"]
    assert told["LesionedRegions"] == {"mine_2": 1, "mine_5": 0.5}
    assert told["LesionMask"] == fingerprint(case.folder / "lesion.nii.gz")


def test_a_lesion_mask_that_is_not_there_is_refused(case):
    """Nobody is measured as if there were no lesion."""
    outcome = case.run("--lesion-mask", case.folder / "none.nii.gz")
    assert outcome.exit_code == 3
    assert "none.nii.gz" in outcome.text


def test_the_moment_that_volumes_stand_for_goes_with_the_series(case):
    """As the sidecar of the BOLD says it; events meet these volumes."""
    (case.folder / "bold.json").write_text(json.dumps({"RepetitionTime": TR, "StartTime": 0.7}))
    assert case.run().exit_code == 0
    for name in ("mine_timeseries.json", "mine_cleaned.json"):
        assert case.sidecar(name)["StartTime"] == 0.7


def test_matrix_is_the_correlation_of_the_cleaned_series(case):
    """FCcorr from the cleaned series that is written, over the volumes that count; then λ."""
    assert case.run("--fd-threshold", "1.8", "--pcorr-lambda", "mine=0.2").exit_code == 0
    kept = np.array(case.sidecar("mine_cleaned.json")["VolumesKept"], bool)
    assert 0 < (~kept).sum() < N_VOLUMES / 2
    cleaned = np.stack(list(case.table("mine_cleaned.tsv").values()), axis=1)[kept]
    wanted = np.corrcoef(cleaned.T)
    np.testing.assert_allclose(case.matrix("FCcorr_mine_hpf.tsv"), wanted, atol=2e-6)
    precision = np.linalg.inv(wanted + 0.2 * np.eye(5))
    partial = -precision / np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    np.fill_diagonal(partial, 1)
    np.testing.assert_allclose(case.matrix("FCpcorr_mine_hpf.tsv"), partial, atol=2e-6)
    facts = case.sidecar("FCpcorr_mine_hpf.json")
    assert (facts["OutlierRule"], facts["FDThreshold"]) == ("none", 1.8)
    assert facts["Derivatives"].startswith("difference to the volume before")
    assert facts["TissueRegressors"] == []
    assert facts["Lambda"] == 0.2
    assert facts["LambdaSource"] == "chosen by the user"
    assert facts["Frames"] == kept.sum()
    assert "trans_x" in facts["Runs"][0]["Confounds"]


@pytest.mark.parametrize(
    ("strategy", "code"), [("simple", 4), ("scrubbing", 4), ("compcor", 3), ("ica_aroma", 3)]
)
def test_a_strategy_of_nilearn_says_what_it_lacks(case, strategy, code):
    """These confounds hold motion alone: an error that names the option, and no file."""
    found = case.run(denoise=strategy)
    assert found.exit_code == code
    assert strategy in found.text
    assert "choose another --denoise" in found.text or "Copy it there" in found.text
    assert not list(case.folder.glob("out/*.tsv"))


def test_cleaned_series_with_global_signal_regression(case):
    """Its correlation is FCcorr_ATLAS_hpfgsr; without a global signal neither is written."""
    assert case.run().exit_code == 0
    assert not list((case.folder / "out").glob("*gsr*"))
    table = case.folder / "confounds.tsv"
    columns = read_columns(table)
    columns["global_signal"] = np.random.default_rng(8).normal(size=N_VOLUMES)
    write_table(table, columns)
    assert case.run().exit_code == 0
    cleaned, kept = (
        np.stack(list(case.table(f"mine_{kind}.tsv").values()), axis=1)[
            np.array(case.sidecar(f"mine_{kind}.json")["VolumesKept"], bool)
        ]
        for kind in ("cleaned-gsr", "cleaned")
    )
    np.testing.assert_allclose(
        case.matrix("FCcorr_mine_hpfgsr.tsv"), np.corrcoef(cleaned.T), atol=2e-6
    )
    assert np.abs(cleaned - kept).max() > 1e-3
    facts = case.sidecar("mine_cleaned-gsr.json")
    assert "with global signal" in facts["Description"]
    assert facts["GlobalSignalRegression"] is True
    assert "global_signal" in facts["Runs"][0]["Confounds"]


def test_names_come_from_the_table_beside_the_image(case):
    """Its rows in their order; 0 is background, unnamed labels are left out, absent ones NaN."""
    rows = ["index\tname", "0\tbackground", "5\tb", "2\ta", "30\tb", "1001\tz", "400\tgone"]
    (case.folder / "atlas.tsv").write_text("\n".join(rows) + "\n")
    outcome = case.run()
    assert outcome.exit_code == 0
    assert "1 label(s) without a row" in outcome.text
    names = ["b_5", "a", "b_30", "z", "gone"]
    assert list(case.table("mine_timeseries.tsv")) == names
    facts = case.sidecar("FCcorr_mine_hpf.json")
    assert facts["Regions"] == names
    assert facts["MissingRegions"] == ["gone"]
    square = case.matrix("FCcorr_mine_hpf.tsv")
    assert np.isnan(square[4]).all()
    assert np.isfinite(square[:4, :4]).all()


def test_a_shifted_finer_float_atlas_gives_the_same_regions(case):
    """Float labels on another grid are carried to the run's by nearest label."""
    fine = np.kron(draw_labels(), np.ones((2, 2, 2), np.int16)).astype(np.float64)
    affine = AFFINE.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) / 2
    save(
        fine[2:],
        case.folder / "fine.nii.gz",
        affine @ nib.affines.from_matvec(np.eye(3), [2, 0, 0]),
    )
    images = [
        f"{name}={case.folder / file}.nii.gz" for name, file in (("a", "atlas"), ("b", "fine"))
    ]
    assert case.run("--labels", *images).exit_code == 0
    for name in ("timeseries", "coverage", "cleaned"):
        texts = [(case.folder / f"out/{atlas}_{name}.tsv").read_text() for atlas in "ab"]
        assert texts[0].replace("a_", "") == texts[1].replace("b_", ""), name


@pytest.mark.parametrize("column", ["csf", "white_matter"])
@pytest.mark.parametrize("is_there", [True, False])
def test_tissue_columns_without_numbers_name_a_way_around(case, column, is_there):
    """Other cleaning, or the tissues themselves; whether the column is empty or absent."""
    columns = dict(read_columns(case.folder / "confounds.tsv"))
    columns |= {name: np.ones(N_VOLUMES) for name in ("csf", "white_matter")}
    columns[column] = np.full(N_VOLUMES, np.nan)
    if not is_there:
        del columns[column]
    write_table(case.folder / "confounds.tsv", columns)
    found = case.run(denoise="36p")
    assert found.exit_code == 4
    assert column in found.text
    assert "--denoise 24p" in found.text
    assert "--tissue" in found.text
    assert case.run(denoise="24p").exit_code == 0


def test_surfaces_are_named(case):
    """CIFTI as a run or as labels, GIFTI as labels: only volumes are read, in plain words."""
    series = nib.cifti2.SeriesAxis(0, 2, 20)
    mask = np.ones((5, 5, 1), bool)
    brain = nib.cifti2.BrainModelAxis.from_mask(mask, affine=np.eye(4), name="thalamus_left")
    run = nib.Cifti2Image(np.zeros((20, 25), np.float32), (series, brain))
    nib.save(run, case.folder / "x.dtseries.nii")
    table = nib.cifti2.LabelAxis(["x"], [{0: ("none", (0, 0, 0, 0)), 1: ("a", (1, 1, 1, 1))}])
    labels = nib.Cifti2Image(np.ones((1, 25), np.float32), (table, brain))
    nib.save(labels, case.folder / "x.dlabel.nii")
    surface = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.ones(5, np.int32))])
    nib.save(surface, case.folder / "x.label.gii")
    words = ["--confounds", case.folder / "confounds.tsv", "--output-dir", case.folder / "out"]
    labelled = ["--labels", f"mine={case.folder / 'atlas.nii.gz'}"]
    outcomes = [invoke(case.folder / "x.dtseries.nii", *labelled, *words)]
    outcomes += [
        case.run("--labels", f"mine={case.folder / n}") for n in ("x.dlabel.nii", "x.label.gii")
    ]
    for found, kind in zip(outcomes, ("CIFTI", "CIFTI", "GIFTI"), strict=True):
        assert found.exit_code == 3
        assert f"gave: {kind}, whose values lie on the surface" in found.text
        assert "attribute" not in found.text
    assert "desc-preproc_bold.nii.gz" in outcomes[0].text


NLIN6, DEFAULT = "MNI152NLin6Asym", "MNI152NLin2009cAsym"


def name_spaces(case, image, bold):
    """Give image and run names that say these spaces; returns the words of the command."""
    atlas, run = case.folder / f"{image}_atlas-x_dseg.nii.gz", case.folder / f"{bold}_bold.nii.gz"
    (case.folder / "atlas.nii.gz").rename(atlas)
    (case.folder / "bold.nii.gz").rename(run)
    return [
        *(run, "--labels", f"mine={atlas}", "--confounds", case.folder / "confounds.tsv"),
        *("--denoise", "24p", "--output-dir", case.folder / "out"),
    ]


@pytest.fixture
def flow(tmp_path, monkeypatch):
    """TemplateFlow's cache, empty."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "flow"))
    return tmp_path / "flow"


@pytest.mark.parametrize(
    ("image", "bold", "is_fine"),
    [
        (f"tpl-{NLIN6}", f"sub-1_space-{DEFAULT}", False),
        (f"tpl-{DEFAULT}", f"sub-1_space-{NLIN6}", False),
        (f"tpl-{NLIN6}", "sub-1_space-T1w", False),
        ("sub-1_space-T1w", f"sub-1_space-{NLIN6}", False),
        ("tpl-MNIInfant_cohort-1", "sub-1_space-MNIInfant_cohort-2", False),
        (f"tpl-{NLIN6}_res-01", f"sub-1_space-{NLIN6}_res-2", True),
        ("sub-1_space-T1w", "sub-1_space-T1w", True),
        ("sub-1_space-T1w", "sub-1_space-anat", True),
        (f"tpl-{NLIN6}", "sub-1", True),
        ("mine", f"sub-1_space-{DEFAULT}", True),
        ("mine_space-MNI152", f"sub-1_space-{NLIN6}", True),
    ],
)
def test_names_that_say_different_spaces_are_refused(case, flow, image, bold, is_fine):
    """As far as names say it; --allow-template-mismatch lays the labels over the data."""
    words = name_spaces(case, image, bold)
    found = invoke(*words)
    if is_fine:
        assert found.exit_code == 0, found.text
        assert "as they are" not in found.text
        return
    assert found.exit_code == 3
    assert "expected a label image in the space of the data" in found.text
    assert "--allow-template-mismatch" in found.text
    found = invoke(*words, "--allow-template-mismatch")
    assert found.exit_code == 0
    assert "WARNING" in found.text
    assert "laid over the data" in found.text
    assert "laid over" in case.sidecar("FCcorr_mine_hpf.json")["Warnings"][0]


@pytest.mark.parametrize("where", ["templateflow", "folder"])
def test_labels_of_another_template_are_carried(case, flow, where):
    """Through TemplateFlow's transform, or one of --transforms-dir, to where they belong."""
    assert case.run().exit_code == 0
    wanted = case.matrix("FCcorr_mine_hpf.tsv")
    shift = np.eye(4)
    shift[:3, 3] = (300, -20, 7)
    save(draw_labels(), case.folder / "atlas.nii.gz", shift @ AFFINE)
    words = name_spaces(case, f"tpl-{NLIN6}", f"sub-1_space-{DEFAULT}")
    folder = flow / f"tpl-{DEFAULT}" if where == "templateflow" else case.folder / "own"
    name = f"tpl-{DEFAULT}_from-{NLIN6}_mode-image_xfm.h5"
    write_composite_transform(folder / name, [(shift, None)])
    words += ["--transforms-dir", folder] if where == "folder" else []
    found = invoke(*words)
    assert found.exit_code == 0, found.text
    np.testing.assert_array_equal(case.matrix("FCcorr_mine_hpf.tsv"), wanted)
    (used,) = case.sidecar("FCcorr_mine_hpf.json")["Transforms"]
    assert used["Path"].endswith(name)


def test_low_coverage_makes_a_region_missing(case):
    """The brain mask cuts a region to a quarter: NaN at the default bar, kept at a lower one."""
    mask = np.ones(SHAPE, np.uint8)
    inside = np.argwhere(draw_labels() == 30)
    for x, y, z in inside[len(inside) // 4 :]:
        mask[x, y, z] = 0
    save(mask, case.folder / "mask.nii.gz")
    assert case.run("--mask", case.folder / "mask.nii.gz").exit_code == 0
    assert np.isnan(case.matrix("FCcorr_mine_hpf.tsv")[3]).all()
    assert case.sidecar("FCcorr_mine_hpf.json")["MissingRegions"] == ["mine_30"]
    words = ["--mask", case.folder / "mask.nii.gz", "--min-coverage", "0.2"]
    assert case.run(*words).exit_code == 0
    assert np.isfinite(case.matrix("FCcorr_mine_hpf.tsv")).all()


def cut_bold(case, first, last):
    """Keep some slices of the run, in their place; returns the affine."""
    image = nib.load(case.folder / "bold.nii.gz")
    cut = image.slicer[:, :, first:last]
    nib.save(cut, case.folder / "bold.nii.gz")
    return cut.affine


def test_coverage_is_a_share_of_the_whole_region(case):
    """A slab that holds two of eight slices of every region covers a quarter of each."""
    cut_bold(case, 4, 6)
    outcome = case.run()
    assert outcome.exit_code != 0  # nothing is left to correlate
    assert case.table("mine_coverage.tsv")["coverage"].tolist() == [0.25] * 5
    outcome = case.run("--min-coverage", "0.2")
    assert outcome.exit_code == 0, outcome.text
    assert "edge of the image" not in outcome.text
    assert case.table("mine_coverage.tsv")["coverage"].tolist() == [0.25] * 5
    assert case.table("mine_coverage.tsv")["n_voxels"].tolist() == [2 * 2 * 9] * 5


def test_labels_that_end_where_the_run_does_cannot_tell_the_coverage(case):
    """The image on the slab's own grid: what lies beyond is unknown, in log and sidecars."""
    affine = cut_bold(case, 4, 6)
    save(draw_labels()[:, :, 4:6], case.folder / "atlas.nii.gz", affine)
    outcome = case.run()
    assert outcome.exit_code == 0, outcome.text
    said = "the edge of the image cuts through 5 of 5 regions (mine_2, mine_5"
    assert outcome.text.count(said) == 1
    assert any(said in warning for warning in case.sidecar("FCcorr_mine_hpf.json")["Warnings"])


@pytest.mark.parametrize("name", ["atlas.nii.gz", "bold.nii.gz"])
def test_two_places_of_an_image_stand_in_the_sidecar(case, name):
    """Its header's sform and qform differ: which was taken is said in log and sidecars."""
    image = nib.load(case.folder / name)
    image = nib.Nifti1Image(image.get_fdata().astype(np.float32), image.affine, image.header)
    moved = AFFINE.copy()
    moved[2, 3] += 30
    image.set_sform(AFFINE, 4)
    image.set_qform(moved, 1)
    nib.save(image, case.folder / name)
    outcome = case.run()
    assert outcome.exit_code == 0, outcome.text
    said = f"{name}: its header gives two places, sform and qform, up to 30 mm apart. The sform"
    assert outcome.text.count(said) == 1
    assert any(said in warning for warning in case.sidecar("FCcorr_mine_hpf.json")["Warnings"])


def test_a_region_without_signal_is_missing_at_any_bar(case):
    """With --min-coverage 0 a region outside the brain is NaN still, and named as missing."""
    mask = (draw_labels() != 30).astype(np.uint8)
    save(mask, case.folder / "mask.nii.gz")
    words = ["--mask", case.folder / "mask.nii.gz", "--min-coverage", "0"]
    assert case.run(*words).exit_code == 0
    facts = case.sidecar("FCcorr_mine_hpf.json")
    assert facts["MissingRegions"] == ["mine_30"]
    assert facts["RegionsMeasured"] == 4


BAD = {
    "bold": ("bold.nii.gz", "bold.nii.gz"),
    "labels": ("atlas.nii.gz", "atlas.nii.gz"),
    "confounds": ("confounds.tsv", "confounds.tsv"),
}


def test_too_little_data_is_said_with_the_noise_to_expect(case):
    """In the log and the sidecar; tSNR and DVARS stand there too, and where DVARS is from."""
    outcome = case.run("--min-minutes", 500)
    assert outcome.exit_code == 0
    known = case.sidecar("FCcorr_mine_hpf.json")
    (sentence,) = known["Warnings"]
    assert "less than 500" in sentence
    assert sentence in outcome.text
    assert known["CorrelationNoise"] == pytest.approx(1 / np.sqrt(known["Frames"] - 1), abs=1e-4)
    assert known["Runs"][0]["DVARSSource"].startswith("computed from region means")
    assert known["MedianTSNR"] == pytest.approx(np.median(case.table("mine_coverage.tsv")["tsnr"]))


@pytest.mark.parametrize("what", BAD)
def test_a_missing_file_is_named(what, case):
    """No traceback, exit code 3, the path; and nothing is written."""
    name, said = BAD[what]
    (case.folder / name).unlink()
    outcome = case.run()
    assert outcome.exit_code == 3
    assert said in outcome.text
    assert not (case.folder / "out").exists()


def test_confounds_of_another_run_are_refused(case):
    """Fewer rows than volumes."""
    write_confounds(case.folder / "confounds.tsv", N_VOLUMES - 1)
    outcome = case.run()
    assert outcome.exit_code == 3
    assert f"expected {N_VOLUMES} rows of confounds, one per volume; found 119" in outcome.text
    assert "confounds.tsv" in outcome.text


def test_confounds_without_motion_are_refused(case):
    """The message names the table and the columns."""
    (case.folder / "confounds.tsv").write_text("csf\n" + "1.0\n" * N_VOLUMES)
    outcome = case.run()
    assert outcome.exit_code == 4
    assert "confounds.tsv: expected the confounds trans_x" in outcome.text


def test_labels_in_another_space_are_refused(case):
    """An image wholly beside the run is no atlas of it."""
    affine = AFFINE.copy()
    affine[0, 3] += 500
    save(draw_labels(), case.folder / "atlas.nii.gz", affine)
    outcome = case.run()
    assert outcome.exit_code == 3
    assert "in the same space" in outcome.text
    assert "atlas.nii.gz" in outcome.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--labels", "../up=x.nii"], "--labels: expected a name"),
        (["--labels", "x.nii"], "--labels: expected NAME=VALUE"),
        (["--tissue", "grey=x.nii"], "--tissue: expected names among GM, WM, CSF; found grey"),
        (["--pcorr-lambda", "other=0.1"], "--pcorr-lambda: expected names among mine"),
        (["--pcorr-lambda", "mine=x"], "--pcorr-lambda: expected a number"),
    ],
)
def test_wrong_words_are_named(words, said, case):
    """Usage: exit code 2, before anything is read."""
    outcome = case.run(*words)
    assert outcome.exit_code == 2
    assert said in outcome.text


@pytest.mark.parametrize("table", ["index\tregion\n2\ta\n5\tb\n", "index\tname\n2\ta\n2\tb\n"])
def test_a_broken_table_of_names_is_refused(table, case):
    """Without a name column, or with an index twice."""
    (case.folder / "atlas.tsv").write_text(table)
    outcome = case.run()
    assert outcome.exit_code == 3
    assert "atlas.tsv" in outcome.text


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Write a participant with two runs, and keep only the first."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_dataset(folder, 1, seed=3)
    for path in (folder / "derivatives/fmriprep").rglob("*run-02*"):
        path.unlink()
    return folder


def run_app(bids, out):
    """Region series, coverage and connectomes of the app, measured without a model."""
    from kraken_bids.bids.datasets import find_datasets
    from kraken_bids.bids.inputs import find_session_inputs
    from kraken_bids.bids.query import ExplicitPaths, Query
    from kraken_bids.parcellations import load_parcellation
    from kraken_bids.pipeline.measure.bold_session import measure_functional
    from kraken_bids.pipeline.measure.tasks import SessionTask
    from kraken_bids.settings import DataSettings, Settings

    datasets = find_datasets(bids, {})
    (session,) = find_session_inputs(
        datasets,
        "01",
        parcellations=[load_parcellation("fs86")],
        atlas_images={},
        query=Query(),
        explicit=ExplicitPaths(),
    )
    settings = Settings(data=DataSettings(bids_dir=bids, output_dir=out))
    measure_functional(SessionTask(session, settings, datasets))


def test_numbers_are_the_apps(demo, tmp_path):
    """Same files, same bytes: matrices, series, coverage of fs86 from FreeSurfer's numbers."""
    run_app(demo, tmp_path / "app")
    folder = demo / "derivatives/fmriprep/sub-01"
    func, anat = folder / "func", folder / "anat"
    stem = "sub-01_task-rest_run-01"
    outcome = invoke(
        func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz",
        *("--labels", f"fs86={anat / 'sub-01_desc-aparcaseg_dseg.nii.gz'}"),
        *("--confounds", func / f"{stem}_desc-confounds_timeseries.tsv"),
        *("--mask", func / f"{stem}_space-T1w_desc-brain_mask.nii.gz", "--tissue"),
        *(f"{t}={anat / f'sub-01_label-{t}_probseg.nii.gz'}" for t in ("GM", "WM", "CSF")),
        *("--output-dir", tmp_path / "tool"),
    )
    assert outcome.exit_code == 0, outcome.text
    facts = json.loads((tmp_path / "tool/FCcorr_fs86_hpfgsr.json").read_text())
    assert "robust z| > 5 or composite motion > 0.9 mm" in facts["OutlierRule"]
    assert facts["Derivatives"].startswith("difference to the next volume")
    assert [words.partition(":")[0] for words in facts["TissueRegressors"]] == ["WM", "CSF", "GM"]
    (app_json,) = (tmp_path / "app").rglob("*atlas-fs86_meas-FCcorrHPF_relmat.json")
    sources = " ".join(json.loads(app_json.read_text())["Sources"])
    for word in ("brain_mask", "label-GM", "label-WM", "label-CSF", "confounds", "aparcaseg"):
        assert word in sources
    pairs = {
        "FCcorr_fs86_hpf": "atlas-fs86_meas-FCcorrHPF_relmat.dense",
        "FCcorr_fs86_hpfgsr": "atlas-fs86_meas-FCcorrHPFGSR_relmat.dense",
        "FCpcorr_fs86_hpf": "atlas-fs86_meas-FCpcorrHPF_relmat.dense",
        "fs86_timeseries": "atlas-fs86_timeseries",
        "fs86_coverage": "atlas-fs86_*coverage",
    }
    for ours, theirs in pairs.items():
        found = list((tmp_path / "app").rglob(f"*{theirs}.tsv"))
        assert len(found) == 1, (theirs, sorted((tmp_path / "app").rglob("*.tsv")))
        tool = (tmp_path / "tool" / f"{ours}.tsv").read_text()
        assert tool == found[0].read_text(), ours
