"""Keys that many sidecars have in common are written and read by one name."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import kraken_bids
from kraken_bids.cohort.measurements import (
    CleaningRecord,
    FunctionalRecord,
    RunRecord,
    StructuralRecord,
)
from kraken_bids.cohort.sidecar_records import (
    AdaptedRecord,
    FileRecord,
    FitRecord,
    JudgedRecord,
    ModelRecord,
    OriginRecord,
    RegionsRecord,
    SoftwareRecord,
)
from kraken_bids.io.facts import Facts
from kraken_bids.io.records import from_sidecar, keys_of, to_sidecar
from kraken_bids.models.training_record import TrainingRecord

PACKAGE = Path(kraken_bids.__file__).parent
RECORDS = (
    AdaptedRecord,
    FileRecord,
    FitRecord,
    JudgedRecord,
    ModelRecord,
    OriginRecord,
    RegionsRecord,
    SoftwareRecord,
)
OTHERS = (CleaningRecord, FunctionalRecord, RunRecord, StructuralRecord, TrainingRecord)
ELSEWHERE = {"RepetitionTime", "NumberOfSubjects"}
"""Keys of raw data, and of saved adaptations, too."""
TWO_WORDS = re.compile(r"[A-Z][a-z]+[A-Z]")
"""Other keys are words that mean other things elsewhere."""


def test_a_prediction_is_described_in_one_order() -> None:
    """Fields that are not known are left out; the rest is read back as it was written."""
    origin = OriginRecord(source="fusion", source_flavors=("FCcorr_fs86_hpf",), sources=("a",))
    model = ModelRecord("small", "0" * 64, adaptation_mode="none")

    written = to_sidecar(origin, model)

    assert list(written) == [
        "Predicted", "Source", "SourceFlavors", "Sources", "Model", "ModelSHA256",
        "AdaptationMode",
    ]  # fmt: skip
    assert from_sidecar(ModelRecord, Facts(written)) == model
    assert from_sidecar(OriginRecord, Facts(written)).source_flavors == origin.source_flavors


def test_keys_of_shared_records_are_typed_nowhere_else() -> None:
    """A key is that of a record's field, wherever sidecars are written or read."""
    keys = {key for kind in RECORDS + OTHERS for key in vars(keys_of(kind)).values()}
    keys = {key for key in keys if TWO_WORDS.match(key)} - ELSEWHERE
    assert len(keys) > 30
    typed = [
        (path.relative_to(PACKAGE).as_posix(), node.value)
        for folder in ("cli", "cohort", "pipeline", "report", "workflows")
        for path in (PACKAGE / folder).rglob("*.py")
        if path.name != "sidecar_records.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in keys
    ]
    assert typed == []


def test_records_have_only_columns() -> None:
    """So that every field is read back."""
    assert all(one.metadata for kind in RECORDS for one in fields(kind))
