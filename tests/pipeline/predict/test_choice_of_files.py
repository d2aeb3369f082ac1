"""Of several files of one flavor the model reads rest, however it is spelled, then the longest."""

from pathlib import Path

import pytest

from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.io.writing import write_json


def write_measured(output_dir: Path, minutes: dict[str, float]) -> None:
    """Write the names of one flavor measured from several scans, with what was left of each."""
    func = output_dir / "sub-01" / "func"
    func.mkdir(parents=True)
    for task, left in minutes.items():
        stem = f"sub-01_task-{task}_space-T1w_atlas-fs86_meas-FCcorrHPF_relmat"
        (func / f"{stem}.dense.tsv").touch()
        write_json(func / f"{stem}.json", {"EffectiveDuration": 60 * left})


@pytest.mark.parametrize(
    ("minutes", "chosen"),
    [
        ({"rest": 5, "movie": 20}, "rest"),
        ({"Rest": 5, "movie": 20}, "Rest"),
        ({"restEC": 5, "movie": 20}, "restEC"),
        ({"resting": 5, "RESTINGSTATE": 6, "movie": 20}, "RESTINGSTATE"),
        ({"rest": 5, "restEO": 20}, "rest"),
        ({"movie": 5, "nback": 20}, "nback"),
        ({"unrest": 5, "nback": 20}, "nback"),
    ],
)
def test_rest_before_a_longer_task(tmp_path: Path, minutes: dict[str, float], chosen: str) -> None:
    """Spelled task-rest, else as people spell it, else what there is most of."""
    write_measured(tmp_path, minutes)
    (member,) = list_members(tmp_path)
    (path,) = member.connectomes.values()
    assert f"_task-{chosen}_" in path.name


@pytest.mark.parametrize(
    ("minutes", "chosen"),
    [
        ({"rest": 5, "rest_rec-nordic": 9}, "rest"),
        ({"rest_ce-gd": 9, "rest_ce-none": 5}, "rest_ce-none"),
        ({"rest_rec-b": 9, "rest_rec-a": 5}, "rest_rec-a"),
        ({"rest_acq-short": 5, "rest_acq-long": 9}, "rest_acq-long"),
        ({"rest_rec-nordic": 5, "movie": 9}, "rest_rec-nordic"),
    ],
)
def test_the_same_version_of_everyone(
    tmp_path: Path, minutes: dict[str, float], chosen: str
) -> None:
    """What is left of a version differs between people; which one is read must not."""
    write_measured(tmp_path, minutes)
    (member,) = list_members(tmp_path)
    (path,) = member.connectomes.values()
    assert f"_task-{chosen}_space" in path.name
