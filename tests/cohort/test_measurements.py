"""What measuring writes into sidecars is what the group level reads back."""

import json
from dataclasses import fields
from pathlib import Path

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.measurements import (
    SETTINGS,
    CleaningRecord,
    FunctionalRecord,
    Measurement,
    RunRecord,
    StructuralRecord,
    read_measurement,
)
from kraken_bids.io.facts import to_key
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import write_json

RUN = RunRecord("a_bold.nii", 2.0, 100, 2, 3, 95, 3.333, 3.167, 0.1, 1.05, "std_dvars", ("ones",))
CLEANING = CleaningRecord(
    preprocessing="fMRIPrep",
    cleaned_by=None,
    denoising="24p",
    high_pass=0.01,
    high_pass_method="DCT",
    global_signal_regression=False,
    outlier_rule="none",
    fd_threshold=None,
    derivatives="backward",
    tissue_regressors=(),
    concatenation="one after the other",
    notes=("a note",),
    repetition_time=None,
    runs=(RUN, RUN),
    effective_duration=380.0,
    minutes_minimum=5.0,
    mean_fd=0.1,
    mean_dvars=1.05,
    coverage_min=0.5,
)
RECORD = FunctionalRecord(190, 0.06, "published", 86, 0.0727, 61.5, ("short", "noisy"))


def test_records_come_back(tmp_path: Path) -> None:
    """Every fact that a cohort compares is the one that was written."""
    path = tmp_path / "sub-01_relmat.dense.tsv"
    written = {**to_sidecar(CLEANING), **to_sidecar(RECORD), "RunDigest": "abc"}
    write_json(sidecar_path(path), written)
    found = read_measurement(path)
    assert found.run_digest == "abc"
    assert found.warnings == RECORD.warnings
    assert found.n_left_out == 10
    for name in ("effective_duration", "minutes_minimum", "mean_fd", "mean_dvars"):
        assert getattr(found, name) == getattr(CLEANING, name)
    for name in ("frames", "correlation_noise", "median_tsnr"):
        assert getattr(found, name) == getattr(RECORD, name)
    assert json.loads(found.settings["Lambda"]) == 0.06
    assert found.settings["Denoising"] == '"24p"'
    assert found.settings["FDThreshold"] == "null"


def test_what_is_optional_is_left_out() -> None:
    """A repetition time that runs do not share has no key; a threshold that is none is null."""
    written = to_sidecar(CLEANING)
    assert "RepetitionTime" not in written
    assert written["FDThreshold"] is None
    assert written["Runs"][0]["DVARSSource"] == "std_dvars"


def test_what_is_read_has_been_written() -> None:
    """Fields of one name in all records: no key is read that none of them writes."""
    kinds = (CleaningRecord, FunctionalRecord, StructuralRecord)
    written = {to_key(one.name) for kind in kinds for one in fields(kind)}
    read = {to_key(one.name) for one in fields(Measurement) if one.metadata}
    assert read - written == {"RunDigest"}
    assert set(SETTINGS) - written == {"SoftwareVersion"}
