"""The synthetic data set: its layout, and that its images carry what was planted."""

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial import cKDTree

from kraken_bids.demo.cohort import KEPT_STREAMLINES
from kraken_bids.demo.dataset import write_demo_dataset
from kraken_bids.demo.fmriprep import write_fmriprep
from kraken_bids.demo.population import (
    Subject,
    compute_cell_shares,
    compute_planted_correlation,
    compute_streamline_shares,
    draw_subjects,
)
from kraken_bids.demo.qsirecon import METHODS, draw_streamlines
from kraken_bids.demo.template_brain import GREY, grid_points, load_brain, look_up
from kraken_bids.demo.warps import draw_anatomy
from kraken_bids.parcellations import load_parcellation

Written = tuple[Path, Subject]
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def read_columns(path: Path) -> dict[str, np.ndarray]:
    names, *rows = (line.split("\t") for line in path.read_text().splitlines())
    values = np.array([[np.nan if v == "n/a" else float(v) for v in row] for row in rows])
    return dict(zip(names, values.T, strict=True))


def measure_series(func: Path, run: int) -> np.ndarray:
    """Clean the fs86 means of a run by simple means: nearest label, one regression."""
    stem = f"sub-01_task-rest_run-{run:02d}"
    bold = nib.load(func / f"{stem}_space-T1w_desc-preproc_bold.nii.gz")
    labels = nib.load(func.parent / "anat" / "sub-01_desc-aparcaseg_dseg.nii.gz")
    points = grid_points(bold.affine, bold.shape[:3])
    voxels = np.rint(
        (points - labels.affine[:3, 3]) @ np.linalg.inv(labels.affine[:3, :3]).T
    ).astype(int)
    inside = np.all((voxels >= 0) & (voxels < labels.shape), axis=-1)
    here = np.where(
        inside,
        np.asarray(labels.dataobj)[tuple(np.where(inside, np.moveaxis(voxels, -1, 0), 0))],
        0,
    )
    data = bold.get_fdata(dtype=np.float32)
    means = np.array([data[here == k].mean(axis=0) for k in load_parcellation("fs86").labels]).T
    columns = read_columns(func / f"{stem}_desc-confounds_timeseries.tsv")
    keep = ~np.any([c > 0 for n, c in columns.items() if "outlier" in n], axis=0)
    wanted = ("trans_", "rot_", "cosine", "c_comp_cor", "w_comp_cor")
    noise = [np.nan_to_num(c) for n, c in columns.items() if n.startswith(wanted)]
    design = np.stack([np.ones(len(means)), *noise], axis=1)[keep]
    design /= np.linalg.norm(design, axis=0)
    rest = means[keep] - design @ np.linalg.lstsq(design, means[keep], rcond=None)[0]
    return rest / rest.std(axis=0)


def test_layout(demo_dataset: Written) -> None:
    """The files that the finder looks for are there under fMRIPrep's and QSIRecon's names."""
    derivatives = demo_dataset[0] / "derivatives"
    anat, func = (derivatives / "fmriprep" / "sub-01" / part for part in ("anat", "func"))
    for name in ("desc-aparcaseg_dseg.nii.gz", "label-WM_probseg.nii.gz",
                 "from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5",
                 "space-MNI152NLin6Asym_res-2_label-CSF_probseg.nii.gz"):  # fmt: skip
        assert (anat / f"sub-01_{name}").is_file()
    for run in ("01", "02"):
        for space in ("T1w", "MNI152NLin6Asym_res-2"):
            stem = f"sub-01_task-rest_run-{run}_space-{space}"
            assert nib.load(func / f"{stem}_desc-preproc_bold.nii.gz").shape[3] == 200
            sidecar = json.loads((func / f"{stem}_desc-preproc_bold.json").read_text())
            assert sidecar["RepetitionTime"] == 2.0
    dwi = derivatives / "qsirecon" / "sub-01" / "dwi"
    assert len(list(dwi.glob("*_streamlines.tck.gz"))) == 2
    for weights in dwi.glob("*_streamlineweights.csv"):
        head, values = weights.read_text().splitlines()
        assert head.startswith("#")
        assert len(values.split()) == 20_000


@pytest.mark.skipif(not VALIDATOR.is_file(), reason="bids-validator-deno is not installed here")
@pytest.mark.parametrize("part", ["", "fmriprep", "qsirecon", "atlases"])
def test_validator_finds_no_error(demo_dataset: Written, part: str) -> None:
    """The raw root and each derivative are valid BIDS."""
    folder = demo_dataset[0] / "derivatives" / part if part else demo_dataset[0]
    done = subprocess.run(
        [VALIDATOR, folder, "--ignoreWarnings"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_same_seed_gives_same_bytes(demo_dataset: Written, tmp_path: Path) -> None:
    """Writing again, in another process, gives every NIfTI, table and tractogram byte by byte."""
    write_demo_dataset(tmp_path, 1, seed=5, n_procs=2)
    for path in sorted(demo_dataset[0].rglob("*.*")):
        if path.is_file() and path.suffix != ".h5":
            again = tmp_path / path.relative_to(demo_dataset[0])
            assert zlib.crc32(path.read_bytes()) == zlib.crc32(again.read_bytes()), path.name


def write_nothing(*_: object) -> None:
    """Stand in for what writes a subject."""


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback hears of every subject."""
    monkeypatch.setattr("kraken_bids.demo.dataset._write_subject", write_nothing)
    told: list[tuple[int, int]] = []
    write_demo_dataset(tmp_path, 3, on_progress=lambda done, n: told.append((done, n)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_images_carry_the_planted_function(demo_dataset: Written) -> None:
    """FC measured from the images by simple means correlates with the planted one."""
    folder, subject = demo_dataset
    func = folder / "derivatives" / "fmriprep" / "sub-01" / "func"
    series = np.concatenate([measure_series(func, run) for run in (1, 2)])
    pairs = np.triu_indices(86, 1)
    measured = np.corrcoef(series, rowvar=False)[pairs]
    assert np.corrcoef(measured, compute_planted_correlation(subject)["fs86"][pairs])[0, 1] > 0.9


def test_streamlines_carry_the_planted_structure(demo_dataset: Written) -> None:
    """Ends, searched within 4 mm, give counts that correlate with the planted ones."""
    folder, subject = demo_dataset
    anatomy = draw_anatomy(5 * 1000)
    path = (
        folder / "derivatives/qsirecon/sub-01/dwi/sub-01_space-ACPC_model-ifod2_streamlines.tck.gz"
    )
    content = gzip.decompress(path.read_bytes())
    assert METHODS["ifod2"].encode() in content[:200]
    points = np.frombuffer(content.partition(b"END\n")[2], "<f4").reshape(-1, 3)
    stops = np.flatnonzero(np.isnan(points[:, 0]))
    ends = points[np.stack([np.r_[0, stops[:-1] + 1], stops - 1], axis=1)].astype(float)
    native = (ends - anatomy.acpc[:3, 3]) @ np.linalg.inv(anatomy.acpc[:3, :3]).T
    brain = load_brain()
    regions = brain.regions["fs86"]
    tree = cKDTree(grid_points(brain.affine, regions.shape)[regions > 0])
    _, nearest = tree.query(anatomy.to_template(native).reshape(-1, 3), distance_upper_bound=4.0)
    found = np.append(regions[regions > 0], 0)[nearest].reshape(-1, 2)
    assigned = found[(found > 0).all(axis=1)] - 1
    assert abs(len(assigned) / len(found) - KEPT_STREAMLINES["ifod2"]) < 0.02
    counts = np.zeros((86, 86))
    np.add.at(counts, tuple(assigned.T), 1)
    split = compute_cell_shares("fs86")
    expected = split.T @ compute_streamline_shares(subject, "ifod2") @ split
    pairs = np.triu_indices(86, 1)
    assert np.corrcoef((counts + counts.T)[pairs], expected[pairs])[0, 1] > 0.95


def test_streamlines_start_in_grey_matter() -> None:
    """First ends lie within 1.5 mm of a grey voxel's centre; astray ones in white matter."""
    subject, anatomy = draw_subjects(1, 0)[0], draw_anatomy(0)
    tracks, lengths = draw_streamlines(subject, anatomy, "sdstream", rng=np.random.default_rng(0))
    native = (tracks[:, [0, -1]] - anatomy.acpc[:3, 3]) @ np.linalg.inv(anatomy.acpc[:3, :3]).T
    ends = anatomy.to_template(native)
    brain = load_brain()
    centres = grid_points(brain.affine, brain.tissue.shape)[brain.tissue == GREY]
    distance, _ = cKDTree(centres).query(ends)
    assert distance[:, 0].max() < 1.5
    assert abs((distance[:, 1] < 1.5).mean() - KEPT_STREAMLINES["sdstream"]) < 0.02
    assert lengths.min() >= 6
    assert lengths.max() <= 12


def test_cut_field_of_view_loses_few_regions(tmp_path: Path) -> None:
    """The cut subject lacks more than half of some regions, but of less than 5 % of any atlas."""
    anatomy = draw_anatomy(0)
    rng = np.random.default_rng(0)
    write_fmriprep(tmp_path, "sub-01", draw_subjects(1, 0)[0], anatomy, rng=rng, odd=["cut"])
    func = tmp_path / "sub-01" / "func"
    mask = nib.load(
        func / "sub-01_task-rest_run-01_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
    )
    points = grid_points(mask.affine, mask.shape)
    seen = np.asarray(mask.dataobj) > 0
    lost = []
    for name in ("fs86", "shen268", "coco439"):
        labels = look_up(load_brain().regions[name], points)
        share = np.bincount(labels[seen], minlength=labels.max() + 1) / np.bincount(labels.ravel())
        lost.append((share[1:] < 0.5).mean())
    assert max(lost) < 0.05
    assert lost[2] > 0
