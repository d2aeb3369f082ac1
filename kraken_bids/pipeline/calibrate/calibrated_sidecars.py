"""What the sidecar of a calibrated prediction says, besides what it is worth."""

from typing import Any

from kraken_bids.bids.outputs import prediction_archive_path, relmat_path
from kraken_bids.cohort.measurements import STRUCTURAL
from kraken_bids.cohort.sidecar_records import SOFTWARE, WARNINGS, ModelRecord, OriginRecord
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import to_sidecar
from kraken_bids.pipeline.calibrate.choice_of_calibration import mode_of
from kraken_bids.pipeline.calibrate.fitted_pairs import units_of
from kraken_bids.pipeline.calibrate.session_calibrations import SessionCalibrator


def describe_calibrated(
    calibrator: SessionCalibrator, index: int, source: str, target: Flavor
) -> dict[str, Any]:
    """Say in a sidecar what was predicted from what, and with what it was calibrated."""
    plan, chosen = calibrator.plan, calibrator.chosen
    member = calibrator.around.members[index]
    pair = chosen.saved.pairs[source, target]
    inputs = [
        flavor.name
        for flavor in calibrator.around.sources[source].flavors
        if calibrator.around.sources[source].has_input[flavor][index]
    ]
    warnings = [*plan.warned.list_of(member.label)]
    lacking = [name for name in pair.inputs if name not in inputs]
    if lacking:
        warnings.append(
            f"The calibration was fitted on predictions from {', '.join(pair.inputs)}; this "
            f"session lacks {', '.join(lacking)}, and may err more than its intervals say."
        )
    own = units_of(member, target) if target in member.connectomes else ""
    if own and pair.units and own != pair.units:
        warnings.append(
            f"Calibrated values are in the units {pair.units}, those of the people that the "
            f"calibration was fitted on; this session's measured connectome is in {own}."
        )
    return {
        **to_sidecar(
            OriginRecord(
                calibrated=True,
                source=source,
                source_flavors=tuple(inputs),
                sources=(f"bids::{_raw_path(calibrator, index, source, target)}",),
            ),
            ModelRecord(plan.model.name, plan.model.sha256, adaptation_mode=mode_of(plan)),
        ),
        "Calibration": chosen.name_in(plan.settings.data.output_dir),
        "CalibrationSHA256": chosen.sha256,
        **({STRUCTURAL.units: pair.units} if pair.units else {}),
        **({WARNINGS: warnings} if warnings else {}),
        **SOFTWARE,
    }


def _raw_path(calibrator: SessionCalibrator, index: int, source: str, target: Flavor) -> str:
    """Path in OUTPUT_DIR of the raw prediction."""
    output, member = calibrator.plan.settings.data.output_dir, calibrator.around.members[index]
    if calibrator.plan.settings.prediction.output_format == "h5":
        path = prediction_archive_path(output, member.subject, member.session)
    else:
        path = relmat_path(output, member.entities, target, source=source)
    return path.relative_to(output).as_posix()
