"""Files of several runs bear what the runs share."""

from pathlib import Path

import pytest

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.pipeline.measure.functional_connectomes import RunGroup


def group_of(*names: str) -> RunGroup:
    """Make runs of these names, of which only the names count."""
    runs = tuple(
        BoldRun(
            entities={k: v for k, v in parse_name(name).items() if k != "extension"},
            space="T1w",
            bold=Path(name),
            confounds=Path("c.tsv"),
            confounds_json=None,
            mask=None,
            tissue={},
            metadata={},
        )
        for name in names
    )
    return RunGroup("rest", "T1w", runs, {})


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["sub-01_task-rest_run-1_bold.nii"], {"task": "rest", "run": "1"}),
        (["sub-01_task-rest_run-1_bold.nii", "sub-01_task-rest_run-2_bold.nii"], {"task": "rest"}),
        (
            ["sub-01_task-rest_dir-AP_bold.nii", "sub-01_task-rest_dir-PA_bold.nii"],
            {"task": "rest"},
        ),
        (
            ["sub-01_acq-a_dir-AP_run-1_bold.nii", "sub-01_acq-a_dir-PA_run-1_bold.nii"],
            {"acq": "a"},
        ),
        (["sub-01_dir-AP_bold.nii", "sub-01_bold.nii"], {}),
    ],
)
def test_several_runs_share_their_name(names: list[str], kept: dict[str, str]) -> None:
    """What differs between concatenated runs (run, dir …) is not in the name of the whole."""
    assert group_of(*names).entities == {"sub": "01", "suffix": "bold"} | kept
