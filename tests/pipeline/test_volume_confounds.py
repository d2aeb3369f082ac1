"""Confounds regressed from whole volumes, held to nilearn's own regression of the same ones."""

import json
from pathlib import Path
from typing import get_args

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from nilearn import signal
from nilearn.image import smooth_img
from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy
from nilearn.masking import apply_mask

from kraken_bids.analysis_settings import CLEANINGS
from kraken_bids.cli.tools import main
from kraken_bids.connectome.functional.cleaning import Strategy
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.models.volumes.architecture import VolumeArchitecture, VolumeCleaning
from kraken_bids.models.volumes.checkpoint import (
    VolumeModel,
    read_volume_model,
    write_volume_model,
)
from kraken_bids.models.volumes.network import build_network
from kraken_bids.pipeline.volume_confounds import choose_cleaning, prepare_confounds
from kraken_bids.pipeline.volumes.cleaned_volumes import open_cleaned_volumes
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, TR, write_run

EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
JUMP = 33
"""Volume at which the head moves."""


def write_confounds(bold: Path, *, jump_mm: float = 0.0) -> Path:
    """Write the confounds of a run beside it, as fMRIPrep does."""
    rng, columns = np.random.default_rng(7), {}
    for name in ("csf", "white_matter", *MOTION):
        size = 1e-4 if name.startswith("rot") else 0.01 if name in MOTION else 3
        values = np.cumsum(rng.normal(0, size, N_VOLUMES))
        values[JUMP:] += jump_mm if name == "trans_y" else 0
        step = np.r_[np.nan, np.diff(values)]
        both = (values, step, values**2, step**2)
        columns |= {name + suffix: one for suffix, one in zip(EXPANSIONS, both, strict=True)}
    time = (np.arange(N_VOLUMES) + 0.5) / N_VOLUMES
    columns |= {f"cosine0{k}": np.cos(np.pi * (k + 1) * time) for k in range(2)}
    moved = np.full(N_VOLUMES, 0.1)
    columns["framewise_displacement"] = np.r_[np.nan, moved[1:]]
    columns["std_dvars"] = np.r_[np.nan, np.ones(N_VOLUMES - 1)]
    path = bold.with_name("sub-01_task-motor_desc-confounds_timeseries.tsv")
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False, na_rep="n/a")
    path.with_suffix(".json").write_text("{}")
    return path


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[Path, Path]:
    """Write a run in which the head's motion and white matter are seen in every voxel."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    rng = np.random.default_rng(0)
    values = rng.normal(1000, 30, (*SHAPE, N_VOLUMES)) + np.linspace(0, 40, N_VOLUMES)
    run = write_run(tmp_path / "func", values, mask)
    table = pd.read_csv(write_confounds(run[0]), sep="\t")
    values += 500 * table["trans_x"].to_numpy() + 5 * table["white_matter"].to_numpy()
    return write_run(tmp_path / "func", values, mask)


def clean(run: tuple[Path, Path], cleaning: VolumeCleaning, folder: Path):
    return open_cleaned_volumes(
        *run, space="MNI152NLin6Asym", cleaning=cleaning, folder=folder, shape=SHAPE,
        prepare=prepare_confounds(cleaning, run[0]),
    )  # fmt: skip


def smooth_voxels(run: tuple[Path, Path]) -> np.ndarray:
    return apply_mask(smooth_img(str(run[0]), 3.0), str(run[1])).astype(np.float64)


def standardize(cleaned: np.ndarray) -> np.ndarray:
    return (cleaned - cleaned.mean(axis=0)) / cleaned.std(axis=0)


def test_confounds_that_nilearn_chooses_are_regressed_as_it_does(noisy, tmp_path) -> None:
    chosen, kept = load_confounds_strategy(str(noisy[0]), "simple")
    assert kept is None
    expected = standardize(
        signal.clean(smooth_voxels(noisy), confounds=chosen, detrend=False, standardize=None)
    )
    with clean(noisy, VolumeCleaning().by("simple"), tmp_path) as volumes:
        found = volumes.read(0, N_VOLUMES)[:, volumes.mask]
        assert volumes.kept.all()
        assert set(chosen) <= set(volumes.regressors)
    np.testing.assert_allclose(found, expected, atol=5e-4)


def find_table(run: tuple[Path, Path]) -> Path:
    return next(run[0].parent.glob("*_timeseries.tsv"))


def add_confounds(run: tuple[Path, Path]) -> pd.DataFrame:
    """Add components of tissues, jumps of motion and a first volume that does not count."""
    path, rng = find_table(run), np.random.default_rng(11)
    table, told = pd.read_csv(path, sep="\t"), {}
    for k, tissue in enumerate([*["CSF"] * 6, *["WM"] * 6, *["combined"] * 6]):
        name = f"a_comp_cor_{k:02d}"
        table[name] = rng.normal(size=N_VOLUMES)
        told[name] = {"Method": "aCompCor", "Mask": tissue, "Retained": True}
    table.loc[[JUMP, JUMP + 3], "framewise_displacement"] = 2.0
    table["non_steady_state_outlier00"] = np.r_[1, np.zeros(N_VOLUMES - 1)]
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    path.with_suffix(".json").write_text(json.dumps(told))
    return table


@pytest.mark.parametrize("strategy", ["scrubbing", "compcor"])
def test_volumes_that_nilearn_leaves_out_do_not_count(noisy, tmp_path, strategy) -> None:
    """Between two jumps of motion lie too few volumes: ``scrubbing`` leaves these out as well."""
    add_confounds(noisy)
    chosen, kept = load_confounds_strategy(str(noisy[0]), strategy)
    left_out = [0, *range(JUMP, JUMP + 4)] if strategy == "scrubbing" else [0]
    assert sorted(set(range(N_VOLUMES)) - set(kept)) == left_out
    expected = signal.clean(
        smooth_voxels(noisy), confounds=chosen, sample_mask=kept, detrend=False, standardize=None
    )
    with clean(noisy, VolumeCleaning().by(strategy), tmp_path) as volumes:
        found = volumes.read(0, N_VOLUMES)[:, volumes.mask]
        assert set(chosen) <= set(volumes.regressors)
    np.testing.assert_allclose(found[kept], standardize(expected), atol=5e-4)
    assert not found[left_out].any()


@pytest.mark.parametrize("strategy", ["acompcor", "36p", "none"])
def test_the_houses_own_strategies_regress_what_they_say(noisy, tmp_path, strategy) -> None:
    """Components as nilearn finds them; a high-pass of 0 leaves the regression alone."""
    table = add_confounds(noisy)
    named = [*MOTION, "csf", "white_matter"] if strategy == "36p" else MOTION
    own = table[[name + end for name in named for end in EXPANSIONS]].fillna(0.0)
    blocks = [pd.DataFrame({"linear": np.linspace(-1, 1, N_VOLUMES)})]
    if strategy == "acompcor":
        components, _ = load_confounds(
            str(noisy[0]), ("high_pass", "compcor"), compcor="anat_separated", n_compcor=5
        )
        assert sum(name.startswith("a_comp_cor") for name in components) == 10
        blocks.append(table[list(components)])
    blocks += [] if strategy == "none" else [own]
    kept = np.arange(1, N_VOLUMES)
    expected = signal.clean(
        smooth_voxels(noisy), confounds=pd.concat(blocks, axis=1), sample_mask=kept,
        detrend=False, standardize=None,
    )  # fmt: skip
    with clean(noisy, VolumeCleaning(high_pass=0, strategy=strategy), tmp_path) as volumes:
        found = volumes.read(0, N_VOLUMES)[:, volumes.mask]
    np.testing.assert_allclose(found[kept], standardize(expected), atol=5e-4)
    assert not found[0].any()


def test_motion_and_trend_are_regressed_at_once(noisy, tmp_path) -> None:
    """By the 24 motion parameters; the house's own differences begin with 0."""
    table = pd.read_csv(find_table(noisy), sep="\t")
    motion = table[[name + end for name in MOTION for end in EXPANSIONS]].fillna(0.0)
    expected = standardize(
        signal.clean(smooth_voxels(noisy), confounds=motion, detrend=True, standardize=None)
    )
    with clean(noisy, VolumeCleaning(high_pass=0, strategy="24p"), tmp_path) as volumes:
        found = volumes.read(0, N_VOLUMES)[:, volumes.mask]
    np.testing.assert_allclose(found, expected, atol=5e-4)


def test_cleanings_are_those_of_connectomes_and_of_the_release() -> None:
    assert set(CLEANINGS) == {"deeplight", *get_args(Strategy)} - {"ica_aroma"}
    assert VolumeCleaning().by("24p").high_pass == 0.01
    assert VolumeCleaning(5.0).by("24p").by("deeplight") == VolumeCleaning(5.0)


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    shape = VolumeArchitecture("3d", ("left", "right"), SHAPE, (3, 4), (1, 2))
    model = VolumeModel(build_network(shape).eval(), VolumeCleaning().by("fmriclean"))
    return write_volume_model(model, tmp_path / "decoder")


def decode(run, decoder: Path, out: Path, *words: str):
    return CliRunner().invoke(
        main,
        ["decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(decoder),
         "--output-dir", str(out), *words],
    )  # fmt: skip


def test_an_outlier_of_motion_is_not_decoded(noisy, decoder, tmp_path) -> None:
    """Its volume is 0, which a network would decode like any other."""
    write_confounds(noisy[0], jump_mm=3.0)
    assert read_volume_model(decoder).cleaning == VolumeCleaning().by("fmriclean")
    outcome = decode(noisy, decoder, tmp_path / "out", "--relevance")
    assert outcome.exit_code == 0, outcome.output
    (path,) = (tmp_path / "out").glob("*_probabilities.tsv")
    told = json.loads(path.with_suffix(".json").read_text())
    left_out = told["VolumesLeftOut"]
    assert JUMP in left_out
    assert len(left_out) < 5
    assert told["Cleaning"] == "fmriclean"
    assert f"outlier_{JUMP}" in told["Regressors"]
    table = pd.read_csv(path, sep="\t")
    assert list(np.flatnonzero(table["state"].isna())) == left_out
    assert list(np.flatnonzero(table["p_left"].isna())) == left_out
    (image,) = (tmp_path / "out").glob("*res-2_desc-decode_relevance.nii.gz")
    values = nibabel.load(image).get_fdata()
    assert not values[..., left_out].any()
    for mean in (tmp_path / "out").glob("*_stat-mean_*.json"):
        facts = json.loads(mean.read_text())
        assert facts["NumberOfVolumes"] == (table["state"] == facts["State"]).sum()


def test_another_cleaning_than_the_decoders_is_said(noisy, decoder, tmp_path, caplog) -> None:
    outcome = decode(noisy, decoder, tmp_path / "out", "--cleaning", "deeplight")
    assert outcome.exit_code == 0, outcome.output
    assert "was trained on volumes cleaned by fmriclean" in outcome.output + caplog.text
    (path,) = (tmp_path / "out").glob("*_probabilities.json")
    assert json.loads(path.read_text())["HighPassHz"] == 1 / 128
    assert choose_cleaning(None, None) == VolumeCleaning()


def test_confounds_that_are_missing_or_of_another_run_are_named(noisy, decoder, tmp_path) -> None:
    table = find_table(noisy)
    other = tmp_path / "other.tsv"
    other.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    outcome = decode(noisy, decoder, tmp_path / "out", "--confounds", str(other))
    assert outcome.exit_code == 3
    assert f"expected {N_VOLUMES} rows of confounds" in outcome.output
    outcome = decode(noisy, decoder, tmp_path / "out", "--cleaning", "36p")
    assert outcome.exit_code == 0, outcome.output
    outcome = decode(noisy, decoder, tmp_path / "out", "--cleaning", "acompcor")
    assert outcome.exit_code == 4
    assert "for --cleaning acompcor" in outcome.output
    table.unlink()
    with pytest.raises(InputError, match="expected the confounds of"):
        prepare_confounds(VolumeCleaning().by("24p"), noisy[0])


def test_a_run_too_short_for_its_confounds_is_told_by_its_table(noisy) -> None:
    table = find_table(noisy)
    short = "\n".join(table.read_text().splitlines()[:31]) + "\n"
    table.write_text(short)
    with pytest.raises(InputError, match="expected 60 rows of confounds"):
        prepare_confounds(VolumeCleaning().by("24p"), noisy[0])
    values = nibabel.load(noisy[0]).get_fdata()[..., :30]
    write_run(noisy[0].parent, values, nibabel.load(noisy[1]).get_fdata().astype(np.uint8))
    prepare = prepare_confounds(VolumeCleaning().by("24p"), noisy[0])
    with pytest.raises(ConnectomeError, match=r"timeseries.tsv: expected at least 10 degrees"):
        prepare(np.linspace(990, 1010, 30), TR)
