"""``kraken-tools fc --maps``: the series of nilearn's masker of maps, cleaned as all others."""

import warnings

import nibabel as nib
import nilearn
import numpy as np
import pytest
from nilearn.maskers import NiftiMapsMasker
from packaging.version import Version

from kraken_bids.io.writing import write_table
from tests.cli.test_fc import AFFINE, SHAPE, draw_labels, invoke, make_case, save

N_MAPS = 5


def draw_maps(shape=SHAPE, affine=AFFINE):
    """Blobs that overlap, on any grid."""
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    middle = np.array(SHAPE)[:, None] * np.linspace(0.25, 0.75, N_MAPS)
    centres = (AFFINE[:3, :3] @ middle + AFFINE[:3, 3:]).T
    centres[:, 0] += [4, -4, 0, 5, -5]
    blobs = [np.exp(-((points - centre) ** 2).sum(axis=-1) / 30) for centre in centres]
    maps = np.stack(blobs, axis=-1)
    maps[maps < 0.05] = 0
    return maps.astype(np.float32)


@pytest.fixture
def case(tmp_path):
    made = make_case(tmp_path)
    save(draw_maps(), tmp_path / "maps.nii.gz")
    return made


def run(case, *words, maps="maps.nii.gz"):
    return invoke(
        case.folder / "bold.nii.gz",
        *("--maps", f"soft={case.folder / maps}", *words),
        *("--confounds", case.folder / "confounds.tsv"),
        *("--denoise", "24p", "--output-dir", case.folder / "out"),
    )


def read(case, name):
    return np.stack(list(case.table(name).values()), axis=1)


def compute_by_nilearn(case, maps="maps.nii.gz", **options):
    masker = NiftiMapsMasker(str(case.folder / maps), standardize=None, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks of its own next version
        return masker.fit_transform(str(case.folder / "bold.nii.gz"))


def test_series_are_those_of_nilearns_masker(case):
    """Alone, beside label images, and inside a mask that leaves a map out."""
    assert run(case).exit_code == 0
    wanted = compute_by_nilearn(case)
    found = read(case, "soft_timeseries.tsv")
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    alone = case.matrix("FCcorr_soft_hpf.tsv")
    assert alone.shape == (N_MAPS, N_MAPS)

    assert run(case, "--labels", f"mine={case.folder / 'atlas.nii.gz'}").exit_code == 0
    np.testing.assert_allclose(read(case, "soft_timeseries.tsv"), found, rtol=1e-7)
    np.testing.assert_allclose(case.matrix("FCcorr_soft_hpf.tsv"), alone, atol=1e-6)

    mask = (draw_labels() > 0).astype(np.uint8)
    mask[:, :5] = 0
    save(mask, case.folder / "mask.nii.gz")
    assert run(case, "--mask", case.folder / "mask.nii.gz").exit_code == 0
    inside = compute_by_nilearn(case, mask_img=str(case.folder / "mask.nii.gz"))
    found = read(case, "soft_timeseries.tsv")
    present = np.isfinite(found).all(axis=0)
    assert present.sum() == inside.shape[1]
    assert np.abs(found[:, present] - inside).max() < 1e-5 * np.abs(inside).max()
    coverage = case.table("soft_coverage.tsv")["coverage"]
    share = draw_maps()[mask > 0].sum(axis=0) / draw_maps().sum(axis=(0, 1, 2))
    np.testing.assert_allclose(coverage, share, atol=1e-4)
    missing = np.isnan(case.matrix("FCcorr_soft_hpf.tsv")).all(axis=0)
    np.testing.assert_array_equal(missing, share < 0.5)


def test_maps_on_another_grid_are_regridded_as_nilearn_does(case):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-13, -14, -9]
    save(draw_maps((9, 10, 10), affine), case.folder / "coarse.nii.gz", affine)
    assert run(case, maps="coarse.nii.gz").exit_code == 0
    if Version(nilearn.__version__) < Version("0.12.1"):
        pytest.skip(
            "this nilearn regrids maps by splines (findings/nilearn_maps_on_another_grid.sh)"
        )
    wanted = compute_by_nilearn(case, "coarse.nii.gz")
    found = read(case, "soft_timeseries.tsv")
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_time_in_the_header_of_maps_is_not_compared_with_any(case):
    """Their fourth axis is no time, whatever a program wrote there."""
    image = nib.load(case.folder / "maps.nii.gz")
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nib.save(image, case.folder / "timed.nii.gz")
    outcome = run(case, maps="timed.nii.gz")
    assert outcome.exit_code == 0
    assert "repetition time" not in outcome.text


def test_maps_are_called_as_the_table_beside_them_says(case):
    names = ["Cuneus", "Insula", "Caudate", "Vermis", "Lobule"]
    table = case.folder / "maps.tsv"
    write_table(table, {"index": [1, 2, 3, 4, 5], "name": names})
    assert run(case).exit_code == 0
    assert list(case.table("soft_cleaned.tsv")) == names
    sidecar = case.sidecar("FCcorr_soft_hpf.json")
    assert sidecar["Regions"] == names
    assert "Least squares" in sidecar["Extraction"]
    assert case.sidecar("soft_cleaned.json")["Description"].startswith("Least-squares weight")
    write_table(table, {"index": [1, 2, 3], "name": names[:3]})
    outcome = run(case)
    assert outcome.exit_code == 3
    assert "to count the 5 maps" in outcome.text


def test_maps_that_cannot_be_used_are_refused(case):
    save(draw_labels(), case.folder / "flat.nii.gz")
    for words, code, text in (
        (("--maps", f"soft={case.folder / 'flat.nii.gz'}"), 3, "four axes"),
        (("--maps", f"soft={case.folder / 'none.nii.gz'}"), 3, "none.nii.gz"),
        (("--maps", f"fs86={case.folder / 'maps.nii.gz'}"), 2, "that no other atlas has"),
        ((), 2, "expected --labels ATLAS=IMAGE or --maps"),
    ):
        outcome = invoke(
            case.folder / "bold.nii.gz", *words,
            *("--confounds", case.folder / "confounds.tsv", "--output-dir", case.folder / "out"),
        )  # fmt: skip
        assert outcome.exit_code == code, outcome.text
        assert text in outcome.text
    here = np.array(AFFINE)
    here[0, 3] += 500
    save(draw_maps(), case.folder / "far.nii.gz", here)
    outcome = run(case, maps="far.nii.gz")
    assert (outcome.exit_code, "found none there" in outcome.text) == (3, True)
    content = (case.folder / "maps.nii.gz").read_bytes()
    (case.folder / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    outcome = run(case, maps="cut.nii.gz")
    assert (outcome.exit_code, "cut or damaged" in outcome.text) == (3, True)


def test_maps_of_another_space_are_refused(case):
    bold = nib.load(case.folder / "bold.nii.gz")
    other = case.folder / "sub-01_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    nib.save(bold, other)
    maps = case.folder / "tpl-MNI152NLin2009cAsym_atlas-DiFuMo_probseg.nii.gz"
    save(draw_maps(), maps)
    words = ["--maps", f"soft={maps}", "--confounds", case.folder / "confounds.tsv"]
    words += ["--denoise", "24p", "--output-dir", case.folder / "out"]
    outcome = invoke(other, *words)
    assert outcome.exit_code == 3
    assert "--output-spaces MNI152NLin2009cAsym" in outcome.text
    outcome = invoke(other, *words, "--allow-template-mismatch")
    assert outcome.exit_code == 0
    assert any("as they are" in one for one in case.sidecar("FCcorr_soft_hpf.json")["Warnings"])
