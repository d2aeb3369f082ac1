"""Data of the HCP and of UK Biobank give, through the command, what direct computation gives."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nilearn import signal as nilearn_signal
from scipy.fft import dct
from scipy.ndimage import binary_erosion, maximum_filter, minimum_filter

from kraken_bids.connectome.functional.confounds import rest_effect
from kraken_bids.demo.fmriprep import compute_aparcaseg
from kraken_bids.demo.template_brain import (
    CSF,
    FINE_SHAPE,
    GREY,
    WHITE,
    coarse_shape,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
)
from kraken_bids.io.tables import read_relmat
from kraken_bids.parcellations import load_parcellation

FC = ("FCcorr_fs86_hpf", "FCcorr_fs86_hpfgsr", "FCpcorr_fs86_hpf")
NONE = ("--denoise", "none", "--high-pass", "0")
N_VOLUMES, TR = 80, 0.72
WM_PARCELS = {2: 3024, 41: 5002}
"""White matter as wmparc has it: of a gyrus, and unsegmented."""
MNI_GRID = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]])
MNI_SHAPE = (46, 55, 46)
"""Of FSL's MNI152, every second voxel."""


def save(path: Path, values: np.ndarray, affine: np.ndarray, tr: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    if tr:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)


def simulate(points: np.ndarray, rng: np.random.Generator, motion: np.ndarray) -> np.ndarray:
    """BOLD [..., t] at places of the template: regions, tissues, motion, noise; 0 outside."""
    brain = load_brain()
    tissue, region = look_up(brain.tissue, points), look_up(brain.regions["fs86"], points)
    n = len(motion)
    shared = np.cumsum(rng.standard_normal((n, 12)), axis=0) * 0.3 + rng.standard_normal((n, 12))
    regions = np.vstack([np.zeros(n), rng.standard_normal((86, 12)) @ shared.T])
    own = {kind: rng.standard_normal((n, 5)) for kind in (WHITE, CSF)}
    series = 3 * regions[region] + 5 * rng.standard_normal((*tissue.shape, n))
    for kind, courses in own.items():
        loading = rng.standard_normal((*tissue.shape, 5)) + 1
        series += np.where(tissue == kind, 4.0, 1.0)[..., None] * (loading @ courses.T)
    series += points[..., :1] / 20 * (motion[:, 0] * 5) + 8000
    series += np.linspace(0, 30, n) * (tissue == GREY)[..., None]
    return np.where((tissue > 0)[..., None], series, 0).astype(np.float32)


def draw_motion(rng: np.random.Generator) -> np.ndarray:
    """Draw translations, mm, and rotations, rad: a slow drift, without jumps."""
    steps = 0.12 * rng.standard_normal((N_VOLUMES, 6))
    return np.cumsum(steps, axis=0) * [1, 1, 1, 0.01, 0.01, 0.01]


def write_hcp_run(session: Path, name: str, seed: int, ending: str = "_hp2000_clean") -> None:
    """Write a folder of Results."""
    rng = np.random.default_rng(seed)
    motion = draw_motion(rng)
    affine = grid_affine(5.0, coarse_shape(), flip_x=True)
    points = grid_points(affine, coarse_shape())
    folder = session / "MNINonLinear" / "Results" / name
    save(folder / f"{name}{ending}.nii.gz", simulate(points, rng, motion), affine, TR)
    inside = (look_up(load_brain().tissue, points) > 0).astype(np.uint8)
    save(folder / "brainmask_fs.2.nii.gz", inside, affine)
    in_degrees = motion * [1, 1, 1, *[180 / np.pi] * 3]
    steps = np.vstack([np.zeros(6), np.diff(in_degrees, axis=0)])
    lines = ["  ".join(f"{v:.8f}" for v in row) for row in np.hstack([in_degrees, steps])]
    (folder / "Movement_Regressors.txt").write_text("\n".join(lines) + "\n")


def write_hcp(session: Path, runs: Sequence[str], seed: int = 1) -> Path:
    """Write a participant's MNINonLinear, parcels on a finer grid than the BOLD."""
    folder = session / "MNINonLinear"
    affine = grid_affine(2.5, FINE_SHAPE, flip_x=True)
    parcels = compute_aparcaseg(grid_points(affine, FINE_SHAPE)).astype(np.float32)
    save(folder / "aparc+aseg.nii.gz", parcels, affine)
    white = np.where(np.isin(parcels, list(WM_PARCELS)), 0, parcels)
    for label, parcel in WM_PARCELS.items():
        white[parcels == label] = parcel
    save(folder / "wmparc.nii.gz", white, affine)
    ribbon = np.where(parcels >= 2000, 42, np.where(parcels >= 1000, 3, 0))
    save(folder / "ribbon.nii.gz", ribbon.astype(np.float32), affine)
    save(folder / "T1w_restore.nii.gz", parcels, affine)
    for k, name in enumerate(runs):
        write_hcp_run(session, name, seed + k)
    return session


@dataclass
class RunData:
    """What a run's direct computation needs."""

    series: np.ndarray
    """[t, 86] Region means."""
    motion: np.ndarray
    tissues: dict[str, np.ndarray]
    """[t, n] Voxels of the eroded masks; of GM the mean [t]."""


def load_run(session: Path, name: str, ending: str = "_hp2000_clean") -> RunData:
    """Read a run of the HCP with nibabel, and its tissues by FreeSurfer's numbers."""
    folder = session / "MNINonLinear" / "Results" / name
    image = nibabel.load(folder / f"{name}{ending}.nii.gz")
    data = np.asarray(image.dataobj, np.float64)
    parcels = compute_aparcaseg(grid_points(image.affine, image.shape[:3]))
    numbers = load_parcellation("fs86").labels
    motion = np.loadtxt(folder / "Movement_Regressors.txt")[:, :6]
    motion[:, 3:] *= np.pi / 180
    white, fluid = np.isin(parcels, (2, 41)), np.isin(parcels, (4, 43))
    grey = np.isin(parcels, numbers)
    box = np.ones((3, 3, 3))
    return RunData(
        np.stack([data[parcels == number].mean(axis=0) for number in numbers], axis=1),
        motion,
        {
            "WM": data[binary_erosion(white, box)].T,
            "CSF": data[binary_erosion(fluid, box)].T,
            "GM": data[grey].mean(axis=0),
        },
    )


def clean_as_authors(run: RunData, *, n_dropped: int, tr: float, gsr: bool) -> np.ndarray:
    """Fmriclean's recipe, written down again with nilearn: z-scored volumes that count."""
    n = len(run.series)
    dropped = np.arange(n) < n_dropped
    rest, linear = rest_effect(n, tr)[:, None], np.arange(n)[:, None]
    spikes = np.eye(n)[:, dropped]

    def with_derivative(x: np.ndarray) -> np.ndarray:
        return np.hstack([x, np.vstack([np.diff(x, axis=0), np.zeros((1, x.shape[1]))])])

    minimal = np.hstack([linear, run.motion, spikes, rest])
    blocks = [np.ones((n, 1))]
    if gsr:
        blocks.append(with_derivative(run.tissues["GM"][:, None]))
    for name in ("WM", "CSF"):
        voxels = run.tissues[name]
        mean = voxels.mean(axis=1, keepdims=True)
        nuisance = np.hstack([mean, minimal])
        clean = nilearn_signal.clean(
            voxels, detrend=False, standardize=None, confounds=nuisance - nuisance.mean(axis=0)
        )
        found = nilearn_signal.high_variance_confounds(
            clean, n_confounds=5, percentile=100, detrend=False
        )
        blocks += [mean, found[:, 1:]]
    motion = with_derivative(run.motion)
    blocks += [motion, motion**2, with_derivative(rest), spikes, linear]
    design = np.hstack(blocks)
    design = design / np.maximum(np.abs(design).max(axis=0), 1e-300)
    left = run.series - design @ np.linalg.lstsq(design, run.series, rcond=None)[0]
    basis = dct(np.eye(n), axis=0, norm="ortho")
    passed = (np.arange(n) / (2 * tr * n) >= 0.01).astype(float)
    width, sigma = int(36 / tr / 2) * 2 + 1, 3.6 / tr
    bell = np.exp(-0.5 * ((np.arange(width) - (width - 1) / 2) / sigma) ** 2)
    mirrored = np.concatenate([passed[::-1], passed, passed[::-1]])
    passed = np.convolve(bell / bell.sum(), mirrored)[n + width // 2 :][:n]
    kept = ~dropped
    filtered = (basis * passed[:, None]).T @ (basis[:, kept] @ left[kept])
    z = filtered[kept] - filtered[kept].mean(axis=0)
    return z / z.std(axis=0)


def correlate(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.corrcoef(np.vstack(parts), rowvar=False)


def read(app: Any, ending: str, subject: str = "100307") -> np.ndarray:
    (path,) = (app.out / f"sub-{subject}").rglob(f"*{ending}_relmat.dense.tsv")
    return read_relmat(path)


def compare(found: np.ndarray, expected: np.ndarray, atol: float = 2e-6) -> None:
    """Compare what lies off the diagonal, as far as six digits of text go."""
    off = ~np.eye(len(expected), dtype=bool)
    np.testing.assert_allclose(found[off], expected[off], rtol=1e-5, atol=atol)


RUNS = ("rfMRI_REST1_LR", "rfMRI_REST1_RL")


@pytest.fixture(scope="module")
def hcp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data set of one participant with two runs."""
    root = tmp_path_factory.mktemp("hcp")
    write_hcp(root / "100307", RUNS)
    return root


@pytest.fixture
def copy(hcp: Path, app: Any) -> Path:
    """Copy it as links, whose files are to be replaced only."""
    shutil.copytree(hcp, app.bids, copy_function=os.link)
    return Path(app.bids)


def test_hcp_data_are_cleaned_as_the_training_data(app: Any, hcp: Path) -> None:
    """FC of two runs, with and without global signal regression, as fmriclean's recipe has it."""
    app.bids = hcp
    outcome = app.participant(flavors=FC)
    assert outcome.exit_code == 0, outcome.output
    runs = [load_run(hcp / "100307", name) for name in RUNS]
    for gsr, ending in ((False, "FCcorrHPF"), (True, "FCcorrHPFGSR")):
        parts = [clean_as_authors(run, n_dropped=10, tr=TR, gsr=gsr) for run in runs]
        compare(read(app, f"meas-{ending}"), correlate(parts))
    told = app.sidecar("100307", "FCcorrHPF_relmat")
    assert told["Preprocessing"] == "HCP minimal preprocessing with ICA-FIX"
    assert told["Notes"][0].startswith("ICA-FIX was applied")
    assert told["Space"] == told["AtlasSpace"] == "MNI152NLin6Asym"
    assert [run["VolumesDropped"] for run in told["Runs"]] == [10, 10]
    assert told["RepetitionTime"] == pytest.approx(TR)
    sources = [uri.partition(":100307")[2] for uri in told["Sources"]]
    assert "/MNINonLinear/Results/rfMRI_REST1_LR/Movement_Regressors.txt" in sources
    assert {"/MNINonLinear/wmparc.nii.gz", "/MNINonLinear/ribbon.nii.gz"} <= set(sources)
    page = (app.out / "sub-100307.html").read_text()
    assert "BOLD series came from HCP minimal preprocessing with ICA-FIX" in page
    assert len(list(app.out.rglob("*registration*.png"))) == 1
    assert app.sidecar("100307", "_desc-kraken_latents")


def test_without_cleaning_hcp_data_give_plain_correlations(app: Any, hcp: Path) -> None:
    """Of region means without trend and the first ten volumes, or as many as are asked for."""
    app.bids = hcp
    for words, n_dropped in (((), 10), (("--drop-volumes", "0", "--force"), 0)):
        outcome = app.participant(*NONE, *words, flavors=FC[:1])
        assert outcome.exit_code == 0, outcome.output
        parts = []
        for name in RUNS:
            series = load_run(hcp / "100307", name).series[n_dropped:]
            design = np.column_stack([np.ones(len(series)), np.arange(len(series))])
            left = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
            parts.append(left / left.std(axis=0))
        compare(read(app, "meas-FCcorrHPF"), correlate(parts))


@pytest.mark.parametrize("denoise", ["acompcor", "36p", "compcor", "scrubbing", "ica_aroma"])
def test_what_needs_columns_of_fmriprep_is_refused(app: Any, hcp: Path, denoise: str) -> None:
    """With what to choose instead."""
    app.bids = hcp
    outcome = app.participant("--denoise", denoise, flavors=FC[:1])
    assert outcome.exit_code == 3
    assert outcome.says(f"--denoise {denoise}: expected fMRIPrep's confounds", "fmriclean, 24p or")


def test_runs_without_fix_are_left_out_beside_others_that_have_it(app: Any, copy: Path) -> None:
    """Of some participants of the HCP one run lacks it; the rest of them has."""
    results = copy / "100307/MNINonLinear/Results"
    name = RUNS[1]
    (results / name / f"{name}_hp2000_clean.nii.gz").rename(results / name / f"{name}.nii.gz")
    outcome = app.participant(*NONE, flavors=FC[:1])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says(f"{name} is left out: it has no series cleaned by ICA-FIX")
    told = app.sidecar("100307", "FCcorrHPF_relmat")
    assert [run["File"] for run in told["Runs"]] == [f"{RUNS[0]}_hp2000_clean.nii.gz"]


def test_data_without_fix_are_measured_and_it_is_said(app: Any, copy: Path) -> None:
    """Minimal preprocessing alone: by regression, as fMRIPrep's."""
    results = copy / "100307/MNINonLinear/Results"
    for name in RUNS:
        (results / name / f"{name}_hp2000_clean.nii.gz").rename(results / name / f"{name}.nii.gz")
    outcome = app.participant(flavors=FC[:1])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("not cleaned by ICA-FIX, as the data are that the published model")
    told = app.sidecar("100307", "FCcorrHPF_relmat")
    assert told["Preprocessing"] == "HCP minimal preprocessing without ICA-FIX"
    assert "no ICA-FIX was applied" in told["Notes"][0]


def test_what_joins_other_runs_does_not_count_twice(app: Any, copy: Path) -> None:
    """``hcp_fix_multi_run`` leaves a folder of all runs, without their Movement_Regressors.txt."""
    results = copy / "100307/MNINonLinear/Results"
    shutil.copytree(results / RUNS[0], results / "rfMRI_REST", copy_function=os.link)
    for path in (results / "rfMRI_REST").iterdir():
        path.rename(path.with_name(path.name.replace(RUNS[0], "rfMRI_REST")))
    outcome = app.participant(*NONE, flavors=FC[:1])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("rfMRI_REST is left out: it joins runs that are there too")
    assert len(app.sidecar("100307", "FCcorrHPF_relmat")["Runs"]) == 2


def write_anew(path: Path, rows: slice, columns: slice, added: object = 0) -> None:
    values = np.loadtxt(path)[rows, columns] + added
    path.unlink()
    np.savetxt(path, values)


def remove_motion(run: Path) -> None:
    (run / "Movement_Regressors.txt").unlink()


def cut_motion(run: Path) -> None:
    write_anew(run / "Movement_Regressors.txt", slice(50), slice(12))


def swap_motion(run: Path) -> None:
    write_anew(run / "Movement_Regressors.txt", slice(80), slice(6), [0, 0, 0, 90, 0, 0])


def lose_columns(run: Path) -> None:
    write_anew(run / "Movement_Regressors.txt", slice(80), slice(5))


def cut_bold(run: Path) -> None:
    (path,) = run.glob("*_clean.nii.gz")
    content = path.read_bytes()[:100_000]
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_motion, "expected the motion of rfMRI_REST1_LR_hp2000_clean.nii.gz at"),
        (cut_motion, "expected 80 rows of confounds, one per volume; found 50"),
        (swap_motion, "found one of 91 degrees"),
        (lose_columns, "expected 6 or 12 columns"),
        (cut_bold, "The file is cut or damaged"),
    ],
)
def test_half_finished_participants_fail_alone(
    app: Any, copy: Path, damage: Callable[[Path], None], message: str
) -> None:
    """Each with a message; somebody else is done."""
    shutil.copytree(copy / "100307", copy / "100408", copy_function=os.link)
    damage(copy / "100307/MNINonLinear/Results" / RUNS[0])
    outcome = app.participant(*NONE, flavors=FC[:1])
    assert outcome.exit_code == 1
    assert message in app.failures()["sub-100307"].replace("\n", " ")
    assert read(app, "meas-FCcorrHPF", "100408").shape == (86, 86)


def test_participants_without_volumes_are_told_what_they_lack(app: Any, copy: Path) -> None:
    """Only surface data, or no Results at all."""
    shutil.copytree(copy / "100307", copy / "100408", copy_function=os.link)
    shutil.rmtree(copy / "100408/MNINonLinear/Results")
    for name in RUNS:
        run = copy / "100307/MNINonLinear/Results" / name
        (run / f"{name}_hp2000_clean.nii.gz").rename(
            run / f"{name}_Atlas_hp2000_clean.dtseries.nii"
        )
    outcome = app.participant(flavors=FC[:1])
    assert outcome.exit_code != 0
    assert outcome.says("no BOLD volumes in", "rfMRI_REST1_LR_hp2000_clean.nii.gz")
    assert outcome.says("no runs in", "Resting State fMRI FIX-Denoised")
    assert outcome.says("expected BOLD or streamlines of sub-100408 in")


def native_of_mni(points: np.ndarray) -> np.ndarray:
    """Where points of the template lie in a run of UK Biobank, mm: turned, shifted, bent."""
    x, y, z = np.moveaxis(points, -1, 0)
    bent = points + np.stack([2 * np.sin(y / 25), 2 * np.cos(z / 30), 1.5 * np.sin(x / 20)], -1)
    turn = np.array([[0.99, -0.1, 0.05], [0.1, 0.98, -0.12], [-0.04, 0.12, 0.99]])
    return np.asarray(bent @ turn.T + [3.0, 12.0, -8.0])


def mni_of_native(points: np.ndarray) -> np.ndarray:
    """Turn that round by Newton's method, point by point, with numerical derivatives."""
    found = points - [3.0, 12.0, -8.0]
    for _ in range(8):
        miss = native_of_mni(found) - points
        columns = [(native_of_mni(found + e) - native_of_mni(found - e)) / 0.02
                   for e in np.eye(3) * 0.01]  # fmt: skip
        found = found - np.linalg.solve(np.stack(columns, -1), miss[..., None])[..., 0]
    return np.asarray(found)


def fsl_of_world(points: np.ndarray, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """FSL's coordinates: mm from the first voxel, x from the last one of neurological images."""
    voxels = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    if np.linalg.det(affine) > 0:
        voxels[..., 0] = shape[0] - 1 - voxels[..., 0]
    return np.asarray(voxels * np.linalg.norm(affine[:3, :3], axis=0))


def write_uk_biobank(session: Path, *, flip_x: bool, with_inverse: bool) -> Path:
    """Write an instance: a native run, its warp, FreeSurfer's segmentation of a shifted T1w."""
    rng = np.random.default_rng(5)
    motion = draw_motion(rng)
    shape = tuple(n + 4 for n in coarse_shape())
    affine = grid_affine(5.0, shape, flip_x=flip_x)
    affine[:3, 3] += [4, 9, -7]
    centres = grid_points(affine, shape)
    points = mni_of_native(centres)
    ica = session / "fMRI" / "rfMRI.ica"
    bold = simulate(points, rng, motion)
    save(ica / "filtered_func_data_clean.nii.gz", bold, affine, 0.735)
    save(ica / "mask.nii.gz", (bold[..., 0] > 0).astype(np.uint8), affine)
    save(ica / "reg" / "example_func.nii.gz", bold.mean(axis=-1), affine)
    par = ica / "mc" / "prefiltered_func_data_mcf.par"
    par.parent.mkdir()
    np.savetxt(par, motion[:, [3, 4, 5, 0, 1, 2]])
    (session / "fMRI" / "rfMRI.json").write_text('{"RepetitionTime": 0.735}')
    standard = grid_points(MNI_GRID, MNI_SHAPE)
    landed = fsl_of_world(native_of_mni(standard), affine, shape)
    field = landed - fsl_of_world(standard, MNI_GRID, MNI_SHAPE)
    save(ica / "reg" / "example_func2standard_warp.nii.gz", field.astype(np.float32), MNI_GRID)
    if with_inverse:
        own = fsl_of_world(centres, affine, shape)
        back = fsl_of_world(points, MNI_GRID, MNI_SHAPE) - own
        save(ica / "reg" / "standard2example_func_warp.nii.gz", back.astype(np.float32), affine)
    _write_t1(session, affine, shape)
    return session


def _write_t1(session: Path, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Write a T1w image whose world is shifted against that of the run; FLIRT's matrix tells."""
    fine = grid_affine(2.5, (70, 84, 66), flip_x=True)
    fine[:3, 3] += [4, 9, -7]
    shift = np.array([6.0, -11.0, 14.0])
    places = grid_points(fine, (70, 84, 66))
    template = mni_of_native(places - shift)
    parcels = compute_aparcaseg(template).astype(np.int32)
    tissue = look_up(load_brain().tissue, template)
    save(session / "T1" / "T1_brain.nii.gz", tissue.astype(np.float32), fine)
    for number, kind in enumerate((CSF, GREY, WHITE)):
        path = session / "T1" / "T1_fast" / f"T1_brain_pve_{number}.nii.gz"
        save(path, (tissue == kind).astype(np.float32), fine)
    path = session / "FreeSurfer" / "mri" / "aparc+aseg.mgz"
    path.parent.mkdir(parents=True)
    nibabel.save(nibabel.MGHImage(parcels, fine), path)
    corners = np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    sources = fsl_of_world(corners, affine, shape)
    targets = fsl_of_world(corners + shift, fine, (70, 84, 66))
    matrix = np.eye(4)
    matrix[:3] = np.linalg.solve(np.column_stack([sources, np.ones(4)]), targets).T
    np.savetxt(session / "fMRI/rfMRI.ica/reg/example_func2highres.mat", matrix, fmt="%.10f")


@pytest.mark.parametrize(("flip_x", "with_inverse"), [(True, True), (True, False), (False, False)])
def test_uk_biobank_data_are_measured_in_the_space_of_the_run(
    app: Any, tmp_path: Path, flip_x: bool, with_inverse: bool
) -> None:
    """An atlas through the warp or its inverse, the segmentation through FLIRT's matrix."""
    app.bids = tmp_path / "ukb"
    session = write_uk_biobank(app.bids / "1000001_2_0", flip_x=flip_x, with_inverse=with_inverse)
    mni = grid_affine(2.5, FINE_SHAPE, flip_x=True)
    atlas = look_up(load_brain().regions["shen268"], grid_points(mni, FINE_SHAPE))
    save(tmp_path / "shen.nii.gz", atlas.astype(np.int32), mni)
    outcome = app.invoke(
        app.bids, app.out, "participant", "--model", app.world.model,
        "--atlases", "fs86", "shen268", "--atlas", f"shen268={tmp_path / 'shen.nii.gz'}",
        "--flavors", FC[0], "FCcorr_shen268_hpf", *NONE,
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    image = nibabel.load(session / "fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz")
    data = np.asarray(image.dataobj, np.float64)[..., 5:]
    points = mni_of_native(grid_points(image.affine, image.shape[:3]))
    numbers = load_parcellation("fs86").labels
    parcels = compute_aparcaseg(points)
    regions = look_up(load_brain().regions["shen268"], points)
    for name, found, labels in (
        ("fs86", parcels, numbers),
        ("shen268", regions, range(1, 269)),
    ):
        drawn = nibabel.load(
            app.out / f"sub-1000001/ses-2/func/sub-1000001_ses-2_task-rest_space-boldref_"
            f"atlas-{name}_dseg.nii.gz"
        )
        expected = np.zeros(found.shape, int)
        for k, label in enumerate(labels, start=1):
            expected[found == label] = k
        got = np.asarray(drawn.dataobj).astype(int)
        assert (got != expected).mean() < 0.012, name  # of voxels on borders, by two roundings
        series = np.stack(
            [data[got == k].mean(axis=0) for k in range(1, len(list(labels)) + 1)], axis=1
        )
        design = np.column_stack([np.ones(len(series)), np.arange(len(series))])
        left = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
        (path,) = app.out.rglob(f"*atlas-{name}_meas-FCcorrHPF_relmat.dense.tsv")
        compare(read_relmat(path), np.corrcoef(left, rowvar=False))
    told = json.loads(path.with_name(path.name.replace(".dense.tsv", ".json")).read_text())
    assert told["Preprocessing"] == "UK Biobank's pipeline with ICA-FIX"
    assert (told["Space"], told["AtlasSpace"]) == ("boldref", "MNI152NLin6Asym")
    name = "standard2example_func_warp" if with_inverse else "example_func2standard_warp"
    assert any(uri.endswith(f"reg/{name}.nii.gz") for uri in told["Sources"])


def draw_streamlines(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ends [n, 2, 3] deep in regions of the template, mm; and these, [n, 2] from 0."""
    regions = load_brain().regions["fs86"]
    deep = (regions > 0) & (minimum_filter(regions, 3) == maximum_filter(regions, 3))
    voxels = np.argwhere(deep)
    ends = voxels[rng.integers(0, len(voxels), (6000, 2))]
    affine = load_brain().affine
    return ends @ affine[:3, :3].T + affine[:3, 3], regions[tuple(ends.transpose(2, 0, 1))] - 1


def write_tracks(session: Path) -> np.ndarray:
    """Write what UKB-connectomics gives, and warps; returns the regions of the ends."""
    rng = np.random.default_rng(7)
    ends, regions = draw_streamlines(rng)
    shape = tuple(n + 4 for n in coarse_shape())
    affine = grid_affine(5.0, shape, flip_x=True)
    affine[:3, 3] += [4, 9, -7]
    tracks = session / "tractography/endpoints/tracks_10M_endpoints.npy"
    tracks.parent.mkdir(parents=True)
    np.save(tracks, native_of_mni(ends).astype(np.float16))
    weights = session / "tractography/metrics/sift_weights.npy"
    weights.parent.mkdir()
    np.save(weights, rng.uniform(0.5, 2, len(ends)).astype(np.float16))
    own = fsl_of_world(grid_points(affine, shape), affine, shape)
    points = mni_of_native(grid_points(affine, shape))
    back = fsl_of_world(points, MNI_GRID, MNI_SHAPE) - own
    save(session / "dMRI/TBSS/FA/MNI_to_dti_FA_warp.nii.gz", back.astype(np.float32), affine)
    (session / "fMRI/rfMRI.ica/reg").mkdir(parents=True)
    _write_t1(session, affine, shape)
    fine = nibabel.load(session / "T1/T1_brain.nii.gz")
    standard, shift = grid_points(MNI_GRID, MNI_SHAPE), np.array([6.0, -11.0, 14.0])
    landed = fsl_of_world(native_of_mni(standard) + shift, fine.affine, fine.shape)
    field = landed - fsl_of_world(standard, MNI_GRID, MNI_SHAPE)
    save(session / "T1/transforms/T1_to_MNI_warp.nii.gz", field.astype(np.float32), MNI_GRID)
    return regions


def count(regions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Count one streamline after the other, both triangles alike."""
    square = np.zeros((86, 86))
    for (a, b), weight in zip(regions, weights, strict=True):
        square[a, b] += weight
        if a != b:
            square[b, a] += weight
    return square


def test_ends_of_uk_biobanks_streamlines_become_structural_connectomes(
    app: Any, tmp_path: Path
) -> None:
    """Counts and SIFT2 sums over regions that get there through two warps; no BOLD is needed."""
    app.bids = tmp_path / "ukb"
    session = app.bids / "1000001_2_0"
    regions = write_tracks(session)
    outcome = app.participant(
        "--sc-units",
        "mrtrix",
        flavors=[f"SCifod2act_fs86_{m}" for m in ("volnorm", "count", "sift2")],
    )
    assert outcome.exit_code == 0, outcome.output
    assert outcome.says("10 million seeds", "through two warps", "no resting BOLD")
    weights = np.load(session / "tractography/metrics/sift_weights.npy").astype(np.float64)
    for meas, values in (
        ("SCifod2actCount", np.ones(len(regions))),
        ("SCifod2actSiftCount", weights),
    ):
        found = read(app, f"atlas-fs86_meas-{meas}", "1000001")
        compare(found, count(regions, values), atol=1e-3)
    told = app.sidecar("1000001", "SCifod2actCount_relmat")
    assert told["LengthHistogram"]["Mean"] is None
    assert told["Space"] == "dwi"
    assert len(list(app.out.rglob("*registration*ifod2*.png"))) == 1


def test_ends_of_no_streamlines_fail_with_what_was_expected(app: Any, tmp_path: Path) -> None:
    """Their picture, which there is nothing for, does not stand in the way of the message."""
    app.bids = tmp_path / "ukb"
    session = app.bids / "1000001_2_0"
    write_tracks(session)
    tracks = session / "tractography/endpoints/tracks_10M_endpoints.npy"
    np.save(tracks, np.zeros((0, 2, 3), np.float16))
    outcome = app.participant(flavors=["SCifod2act_fs86_count"])
    assert outcome.exit_code != 0
    assert "expected streamlines; found none" in app.failures()["sub-1000001"]
