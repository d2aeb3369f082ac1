"""Quality of inputs and predictions, in the sidecars of latents and predicted connectomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kraken_bids.bids.outputs import (
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import FILE, INPUT_SOURCES, JUDGED, ORIGIN, WARNINGS
from kraken_bids.cohort.sidecars import hold_session, mark_whole, order_added, read_digest
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.files_together import finishing_together
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import to_plain, write_json
from kraken_bids.pipeline.check.prediction_quality import ALONE
from kraken_bids.scores.doubt_words import NOT_JUDGED
from kraken_bids.scores.quality_control import (
    CROSS_MODAL,
    CrossModalScore,
    Entry,
    InputQuality,
    Verdict,
    Verdicts,
    read_inputs,
)

WORST_FIRST = ("check", "n/a", "not seen", "ok")


@dataclass(frozen=True)
class Judgement:
    """What a run found of the connectomes and the predictions of a cohort."""

    inputs: Mapping[tuple[int, Flavor], InputQuality]
    """By index of the member, and flavor."""
    scores: Mapping[tuple[int, Flavor], CrossModalScore] | None = None
    """Comparison of the measured connectomes with their predictions; None for a participant run,
    which judges less."""
    verdicts: Verdicts | None = None

    @property
    def level(self) -> str:
        """Level of the run."""
        return "participant" if self.scores is None else "group"

    def group_inputs(self) -> dict[int, dict[str, dict[str, Any]]]:
        """Entry of each input by index of the member, and flavor."""
        found: dict[int, dict[str, dict[str, Any]]] = {}
        for (index, flavor), file in sorted(self.inputs.items()):
            score = (self.scores or {}).get((index, flavor), file.cross_modal)
            entry = to_sidecar(file.conclusion, file, score)
            found.setdefault(index, {})[flavor.name] = entry
        return found

    def group_verdicts(self) -> dict[int, dict[str, dict[str, dict[str, Any]]]]:
        """Entry of each prediction by index of the member, source and target."""
        found: dict[int, dict[str, dict[str, dict[str, Any]]]] = {}
        for (index, source, target), verdict in (self.verdicts or {}).items():
            found.setdefault(index, {}).setdefault(source, {})[target.name] = to_sidecar(verdict)
        return found


def write_judgement(
    plan: PredictionPlan, members: Sequence[Member], found: Judgement
) -> list[Failure]:
    """Write what was found into the sidecars of each session's latents and predictions.

    What an earlier run found among more sessions stays; so does what the group level found, which
    judges more, as long as everyone's predictions are those that it saw. A session that another
    run has predicted since is left alone, and so are sidecars that need no change.

    Returns
    -------
    list of Failure
        Sessions whose files could not be written.
    """
    output, failures = plan.settings.data.output_dir, list[Failure]()
    names = [latents_path(output, member.subject, member.session) for member in members]
    digests = [plan.digests.get(member.label) for member in members]
    pairs = [(p.name, one or read_digest(p)) for p, one in zip(names, digests, strict=True)]
    common = {
        JUDGED.trust_sessions: len(members),
        JUDGED.trust_level: found.level,
        JUDGED.trust_digest: digest("trust", pairs),
    }
    inputs, verdicts = found.group_inputs(), found.group_verdicts()
    for index, member in enumerate(members):
        fields = {}
        if index in inputs:
            fields = {**common, JUDGED.trust: inputs[index], JUDGED.verdicts: verdicts.get(index)}
        own = digest("judged", fields, plan.warned.list_of(member.label), len(members))
        known = plan.judged.pop(member.label, ["", ""])
        if known[1] == own:
            plan.judged[member.label] = known
            continue
        with (
            failing_alone(
                failures, subject=member.subject, session=member.session, stage="predictions"
            ),
            hold_session(output, member.label),
        ):
            with finishing_together():
                written = _write_member(plan, member, fields, n_members=len(members))
            files = plan.list_files(index, member.entities)
            mark = mark_whole(files, plan.digests.get(member.label, ""), contents=written)
            if mark:
                plan.judged[member.label] = [mark, own]
    return failures


def _write_member(
    plan: PredictionPlan, member: Member, fields: Mapping[str, object], *, n_members: int
) -> dict[Path, Mapping[str, Any]]:
    """Write what was found of one session; returns what the sidecar of each file says then."""
    output = plan.settings.data.output_dir
    latents = latents_path(output, member.subject, member.session)
    before = read_facts(sidecar_path(latents))
    digest = plan.digests.get(member.label)
    if not before or (digest is not None and before.text(FILE.run_digest) != digest):
        return {}  # another run has predicted since
    content = before
    if fields and _may_judge(fields, before):
        content = Facts(order_added(before.plain, to_plain(fields)))
    if JUDGED.trust not in content:
        return {}
    warnings = _list_warnings(content, plan.warned.list_of(member.label), n_members)
    after = order_added(content.plain, {WARNINGS: warnings})
    written = {latents: _write_changed(sidecar_path(latents), after, before)}
    place = {
        JUDGED.trust_details: f"bids::{sidecar_path(latents).relative_to(output).as_posix()}",
        WARNINGS: warnings,
    }
    for path, words in _summarize_all(plan, member, content).items():
        written[path] = _add_fields(sidecar_path(path), {JUDGED.trust: words, **place})
    return written


def _summarize_all(
    plan: PredictionPlan, member: Member, content: Facts
) -> dict[Path, dict[str, Any]]:
    """Summary of each prediction of a session, by its file."""
    output, entries = plan.settings.data.output_dir, read_inputs(content)
    summaries = {
        (source.name, target): _summarize(content, entries, source.name, target)
        for source in plan.written_sources
        for target in plan.targets
        if source.name in content.part(INPUT_SOURCES)
    }
    if plan.settings.prediction.output_format == "h5":
        by_name = {f"{name}/{target}": words for (name, target), words in summaries.items()}
        return {prediction_archive_path(output, member.subject, member.session): by_name}
    return {
        relmat_path(output, member.entities, target, source=name): words
        for (name, target), words in summaries.items()
    }


def _may_judge(fields: Mapping[str, object], before: Facts) -> bool:
    """Whether a run may replace what an earlier one has found of a session."""
    known = Facts(dict(fields))
    if (before.count(JUDGED.trust_sessions) or 0) > (known.count(JUDGED.trust_sessions) or 0):
        return False
    return (
        known.text(JUDGED.trust_level) == "group"
        or before.text(JUDGED.trust_level) != "group"
        or before.text(JUDGED.trust_digest) != known.text(JUDGED.trust_digest)
    )


def _summarize(
    content: Facts, entries: Mapping[str, Entry], source: str, target: Flavor
) -> dict[str, object]:
    """Verdict on a prediction, worst verdict on its inputs, their notes, its agreement."""
    names = content.part(INPUT_SOURCES).part(source).texts(ORIGIN.source_flavors)
    inputs = {name: entries[name].conclusion for name in names if name in entries}
    verdicts = {one.trust or "n/a" for one in inputs.values()}
    if len(inputs) < len(names):
        verdicts.add("n/a")
    notes = {name: one.note for name, one in inputs.items() if one.note}
    is_across = source == CROSS_MODAL[target.group] and target.name in entries
    verdict = content.part(JUDGED.verdicts).part(source).part(target.name)
    return {
        **(verdict.plain or to_sidecar(Verdict(NOT_JUDGED, ALONE))),
        "Inputs": next((one for one in WORST_FIRST if one in verdicts), "n/a"),
        **({"Notes": notes} if notes else {}),
        **(to_sidecar(entries[target.name].cross_modal) if is_across else {}),
    }


def _list_warnings(content: Facts, found: Sequence[str], n_members: int) -> list[str] | None:
    """List what to warn of: what was found, and what an earlier run found among more sessions."""
    judged = content.count(JUDGED.trust_sessions) or 0
    earlier = content.texts(WARNINGS) if judged > n_members else []
    return list(dict.fromkeys([*earlier, *found])) or None


def _add_fields(path: Path, fields: Mapping[str, object]) -> Mapping[str, Any]:
    """Add fields to a sidecar, where it is there; returns what it says then."""
    if not path.exists():
        return {}
    before = read_facts(path)
    return _write_changed(path, order_added(before.plain, fields), before)


def _write_changed(path: Path, after: Mapping[str, Any], before: Facts) -> Mapping[str, Any]:
    """Write a sidecar where that changes what it says, or the order in which it says it."""
    if list(after.items()) != list(before.plain.items()):
        write_json(path, after)
    return after
