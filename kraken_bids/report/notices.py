"""The banner of a page: what is wrong or worth knowing, and what to do."""

from collections.abc import Sequence

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.failures import read_failures
from kraken_bids.cohort.measurements import CLEANING, LENGTHS, STRUCTURAL
from kraken_bids.cohort.sidecar_records import ADAPTATION, REGIONS
from kraken_bids.cohort.warned import read_group_warnings
from kraken_bids.exceptions import name_few
from kraken_bids.io.facts import read_table
from kraken_bids.report.panels import list_panels
from kraken_bids.report.section import Notice
from kraken_bids.report.sections.consistency import list_consistency
from kraken_bids.report.sections.coverage import list_coverage
from kraken_bids.report.sections.identifiability import read_metrics
from kraken_bids.report.sections.model_facts import describe_group_model
from kraken_bids.report.sections.motion import list_motion
from kraken_bids.report.sections.subject_table import read_subject_table
from kraken_bids.report.session_warnings import MAX_NAMES, list_cohort_warnings, list_warnings
from kraken_bids.report.subjects import FAILED, read_verdict
from kraken_bids.report.written import Written, of_each_session, read_or_none
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.calibrated_records import NOBODY
from kraken_bids.settings import MAX_IMPUTED_SHARE

UNKNOWN = ("nan", "n/a")
"""How tables read back say that there is no word."""


def list_notices(written: Written) -> tuple[Notice, ...]:
    """List what is wrong with a session and its group, then facts."""
    texts = [
        *_list_failed(written),
        *read_group_warnings(written.output_dir),
        *list_warnings(written),
        *_list_unused(written),
        *_list_doubts(written),
    ]
    texts += _list_reasons(written, texts)
    facts = [
        *_list_origins(written),
        *_list_older(written),
    ]
    return tuple(
        [Notice("warning", text) for text in dict.fromkeys(texts)]
        + [Notice("info", text) for text in facts]
    )


def _list_failed(written: Written) -> list[str]:
    """Say what of this participant failed in the last run, its other sessions included."""
    subject = written.member.subject
    failed = read_failures(written.output_dir, subject)
    return [
        f"The {stage} of sub-{subject}{'' if session == 'n/a' else f' / {session}'} failed: {text}"
        for session, stage, text in failed
        if stage != "report"
    ]


def _list_reasons(written: Written, said: Sequence[str]) -> list[str]:
    """List what the group's page says of this session and nothing above does."""
    subject = written.once(read_verdict)
    if subject is None:
        return []
    above = " ".join(said).lower()
    return [
        f"Noted on the group's page: {reason}{'' if reason.endswith('?') else '.'}"
        for reason in subject.reasons
        if reason.lower() not in above and not reason.endswith(FAILED)
    ]


def _list_doubts(written: Written) -> list[str]:
    """Say once what is unusual about one or several files."""
    rows = written.once(list_consistency)
    flavors: dict[str, list[str]] = {}
    for row in rows:
        flavors.setdefault(row.note, []).append(row.flavor.name)
    return [
        f"{'All files' if len(names) == len(rows) > 1 else ', '.join(names)}: {note}"
        f"{'' if note.endswith('?') else '.'}"
        for note, names in flavors.items()
        if note
    ]


def _list_unused(written: Written) -> list[str]:
    """Name measured connectomes that the model was not given, and why."""
    own = set(written.custom_atlases)
    unusable = [
        flavor.name
        for flavor, sidecar in sorted(written.measured.items())
        if sidecar.plain.get(REGIONS.usable_as_input, True) is False
        and flavor.parcellation not in own
    ]
    texts = []
    if unusable:
        texts.append(
            f"Not used as input of the model: {', '.join(unusable)}. More than "
            f"{100 * MAX_IMPUTED_SHARE:g} % of their regions are missing."
        )
    files = {flavor.name: path.name for flavor, path in written.member.connectomes.items()}
    texts += [
        f"{panel.name} cannot be read and is left out: {files[panel.name]} is broken. Measure it "
        "again with --force."
        for panel in written.once(list_panels)
        if panel.name in files and panel.measured is None
    ]
    if not written.predicted and {f.parcellation for f in written.measured} - own:
        texts.append("There are no predictions for this participant yet.")
    return texts


def _list_origins(written: Written) -> list[str]:
    """Say where measurements and predictions come from."""
    groups = {flavor.group for flavor in written.measured}
    predicted = {flavor.parcellation for flavor in written.list_targets()}
    facts = [
        f"No {kind} input was found"
        + (f": everything is predicted from {other} alone." if written.predicted else ".")
        for kind, other in (("FC", "SC"), ("SC", "FC"))
        if groups == {other}
    ]
    facts += [
        f"{name} is an atlas of your own: it is measured, and not used for prediction, since no "
        "model knows it."
        for name in written.custom_atlases
        if name not in predicted
    ]
    n_foreign = sum(len(sidecar) == 0 for sidecar in written.measured.values())
    if n_foreign:
        facts.append(
            f"{n_foreign} measured connectome(s) came without a sidecar: they were computed "
            "elsewhere, and nothing is known here about runs, motion or tractograms."
        )
    facts += dict.fromkeys(
        f"About the measured connectomes: {note}."
        for sidecar in written.measured.values()
        for note in sidecar.texts(CLEANING.notes)
    )
    return facts


def _list_older(written: Written) -> list[str]:
    """Say what cannot be drawn because an earlier version did not write it."""
    motion, coverage = written.once(list_motion), written.once(list_coverage)
    has_runs = any(sidecar.parts(CLEANING.runs) for sidecar in written.measured.values())
    tracts = [
        sidecar for sidecar in written.measured.values() if STRUCTURAL.streamlines in sidecar
    ]
    lacking = [
        words
        for words, is_lacking in (
            ("motion and signal over time", has_runs and not motion),
            (
                "region series after cleaning",
                any(run.carpet is not None and run.carpet.after is None for run in motion),
            ),
            ("coverage on the brain", any(not entry.slices for entry in coverage)),
            ("lengths of streamlines", any(LENGTHS not in s for s in tracts)),
        )
        if is_lacking
    ]
    if not lacking:
        return []
    return [
        f"Not shown here: {', '.join(lacking)}. What they are drawn from was not written when "
        "these connectomes were measured (an earlier version), or was taken away. Run the "
        "participant level again with --force to get it; the numbers do not need it."
    ]


def list_group_notices(group: WrittenGroup) -> tuple[Notice, ...]:
    """List what is wrong with the cohort and with several or single sessions, then facts."""
    texts = list_cohort_warnings(group)
    model = group.once(describe_group_model)
    facts = []
    if model is None:
        facts.append("There are no predictions: no model was asked.")
    else:
        texts += filter(None, dict.fromkeys(group.of_each(_read_adaptation_notice)))
        if not group.once(read_metrics):
            facts.append(
                "Fewer than three participants have both a measured and a predicted connectome of "
                "one flavor: there is nobody to be told apart from."
            )
        texts += group.once(_say_uncalibrated)
    facts += _say_absent(group.once(read_subject_table)[2])
    return (*(Notice("warning", t) for t in texts), *(Notice("info", t) for t in facts))


def _say_absent(absent: Sequence[str]) -> list[str]:
    """Say of whom the table of participants knows and OUTPUT_DIR does not."""
    if not absent:
        return []
    return [
        f"Of {len(absent)} participant(s) of participants.tsv there is nothing here, neither "
        f"results nor an error: {name_few(absent, MAX_NAMES)}."
    ]


def _say_uncalibrated(group: WrittenGroup) -> list[str]:
    """Say why predictions of flavors that were measured are not calibrated."""
    path = group_path(group.output_dir, "calibration.tsv")
    names = ("source", "target", "reason")
    table = read_or_none(lambda: read_table(path, texts=names)) if path.exists() else None
    rows = list(zip(*(table[name].tolist() for name in names), strict=True)) if table else []
    measured = [row for row in rows if not row[2].startswith(NOBODY)]
    refused = [(f"{row[1]} from {row[0]}", row[2]) for row in measured if row[2] not in UNKNOWN]
    if not refused:
        return []
    first, why = refused[0]
    if len(refused) == len(measured):
        return [f"Predictions are not calibrated, and have no intervals: {why} ({first})."]
    more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    return [f"Some predictions are not calibrated: {first}{more}: {why}."]


@of_each_session
def _read_adaptation_notice(written: Written) -> str:
    return written.predicted.text(ADAPTATION.adaptation_notice)
