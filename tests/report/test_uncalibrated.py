"""The page of the group says why predictions are not calibrated, of what was measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kraken_bids.bids.outputs import group_path
from kraken_bids.io.records import write_records
from kraken_bids.report.notices import _say_uncalibrated
from kraken_bids.scores.calibrated_records import CalibratedPairRecord

FEW, NONE = "expected at least 20 subjects; found 12", "nobody has FC measured"


def say(folder: Path, *reasons: str) -> list[str]:
    rows = [
        [CalibratedPairRecord("fusionSC", f"FC{k}", reason=why)] for k, why in enumerate(reasons)
    ]
    path = group_path(folder, "calibration.tsv")
    write_records(path, [CalibratedPairRecord], rows, description="")
    group: Any = SimpleNamespace(output_dir=folder)
    return _say_uncalibrated(group)


def test_all_some_and_none(tmp_path: Path) -> None:
    group: Any = SimpleNamespace(output_dir=tmp_path)
    assert _say_uncalibrated(group) == []
    assert say(tmp_path, "", "") == []
    assert say(tmp_path, NONE, "") == []
    assert say(tmp_path, FEW, NONE) == [
        f"Predictions are not calibrated, and have no intervals: {FEW} (FC0 from fusionSC)."
    ]
    assert say(tmp_path, "", FEW, FEW) == [
        f"Some predictions are not calibrated: FC1 from fusionSC, and 1 more: {FEW}."
    ]
