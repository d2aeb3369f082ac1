"""Motion of other pipelines becomes fMRIPrep's columns, in its units."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.bids.bold_origins import FMRIPREP, HCP_FIX, UK_BIOBANK_FIX
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.measure.motion_tables import check_strategy, read_motion

TRUE = np.column_stack(
    [np.linspace(-1, 2, 7)[:, None] * [1, 2, 3], np.full((7, 3), 0.02) * [1, 2, 3]]
)
"""mm, then rad."""


def write(path: Path, values: np.ndarray) -> Path:
    np.savetxt(path, values, fmt="%.10f", delimiter="  ")
    return path


def check(found: dict[str, np.ndarray]) -> None:
    assert tuple(found) == MOTION
    np.testing.assert_allclose(np.column_stack([*found.values()]), TRUE, atol=1e-9)


@pytest.mark.parametrize("has_differences", [True, False])
def test_hcp_writes_millimetres_and_degrees(tmp_path: Path, has_differences: bool) -> None:
    """And their differences behind, which are not needed."""
    values = TRUE * [1, 1, 1, *[180 / np.pi] * 3]
    if has_differences:
        values = np.hstack([values, np.vstack([np.zeros(6), np.diff(values, axis=0)])])
    check(read_motion(write(tmp_path / "Movement_Regressors.txt", values), HCP_FIX))


def test_mcflirt_writes_radians_and_millimetres(tmp_path: Path) -> None:
    """Rotations come first."""
    check(read_motion(write(tmp_path / "x.par", TRUE[:, [3, 4, 5, 0, 1, 2]]), UK_BIOBANK_FIX))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (TRUE[:, :5], "found 5 columns"),
        (np.hstack([TRUE, TRUE]), "expected 6 columns.*found 12 columns"),
        (TRUE * np.nan, "NaN or infinite"),
        (TRUE, "found one of 344 degrees.*Are translations and rotations in the order"),
    ],
)
def test_what_is_no_motion_of_mcflirt_is_refused(
    tmp_path: Path, values: np.ndarray, message: str
) -> None:
    """Other columns, no numbers, millimetres where radians should be."""
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_motion(write(tmp_path / "x.par", values), UK_BIOBANK_FIX)


def test_fmripreps_confounds_serve_every_way_of_cleaning() -> None:
    """Motion alone does not; a pipeline's name does not matter."""
    check_strategy("36p", FMRIPREP, Path("x"))
    check_strategy("24p", replace(HCP_FIX, name="x"), Path("x"))
    with pytest.raises(
        InputError, match=r"--denoise acompcor: expected fMRIPrep's confounds for x"
    ):
        check_strategy("acompcor", HCP_FIX, Path("x"))
