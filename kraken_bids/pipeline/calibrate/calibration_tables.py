"""Tables of the group: what is known of every calibration, and of every calibrated prediction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.members import Member, Whose, whose_row
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import replace_records
from kraken_bids.pipeline.calibrate.session_calibrations import summarize
from kraken_bids.scores.calibrated_records import (
    CalibratedPairRecord,
    CalibratedRecord,
    PairNames,
)
from kraken_bids.scores.quality_control import Metric

PAIRS, SESSIONS = "calibration.tsv", "calibrated.tsv"


def write_pair_table(
    output_dir: Path,
    records: Sequence[CalibratedPairRecord],
    refused: Mapping[tuple[str, Flavor], str],
    found: Mapping[tuple[int, str, Flavor], CalibratedRecord],
) -> None:
    """Write ``group/calibration.tsv``: a row for each source and target, also of those refused.

    Parameters
    ----------
    records : sequence of CalibratedPairRecord
        What the cohort says that a calibration was fitted on.
    refused : mapping of (str, Flavor) to str
        Why there is none.
    found : mapping of (int, str, Flavor) to CalibratedRecord
        Of this dataset's sessions, by index, source and target.
    """
    by_pair: dict[tuple[str, str], list[CalibratedRecord]] = {}
    for (_, source, target), one in found.items():
        by_pair.setdefault((source, target.name), []).append(one)
    rows = [
        replace(one, **summarize(by_pair.get((one.source, one.target), []))) for one in records
    ]
    rows += [
        CalibratedPairRecord(source, target.name, reason=reason)
        for (source, target), reason in sorted(refused.items(), key=str)
    ]
    replace_records(
        group_path(output_dir, PAIRS),
        [CalibratedPairRecord],
        [[one] for one in rows],
        description="Calibration of predictions on people in whom the target was measured",
    )


def list_metrics(records: Iterable[CalibratedPairRecord]) -> list[Metric]:
    """List what calibrations add to ``group/metrics.tsv``, in one order: fitted or read back."""
    found = []
    for one in sorted(records, key=lambda one: (one.source, one.target)):
        named = one.source, one.target
        if one.gain is not None:
            interval = one.gain_p, one.gain_low, one.gain_high
            found.append(Metric(*named, "cal_gain", one.gain, *interval, n=one.n))
        if one.r2 is not None:
            found.append(Metric(*named, "cal_r2", one.r2, n=one.n))
    return found


def write_session_table(
    output_dir: Path,
    members: Sequence[Member],
    found: Mapping[tuple[int, str, Flavor], CalibratedRecord],
) -> None:
    """Write ``group/calibrated.tsv``: a row for each session, source and target."""
    ordered = sorted(found.items(), key=lambda item: (item[0][0], item[0][1], item[0][2].name))
    replace_records(
        group_path(output_dir, SESSIONS),
        (Whose, PairNames, CalibratedRecord),
        [
            (whose_row(members[index]), PairNames(source, target.name), one)
            for (index, source, target), one in ordered
        ],
        description="What every calibrated prediction is worth",
    )
