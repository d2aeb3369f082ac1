"""Where function differs from what a subject's own structure lets expect."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kraken_bids.bids.outputs import discordance_path, sidecar_path
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.io.facts import Facts, read_facts, read_table
from kraken_bids.io.records import from_columns
from kraken_bids.report.brain_views import draw_deviations
from kraken_bids.report.section import Section
from kraken_bids.report.sections.about_person import read_pairs
from kraken_bids.report.words import count_noun, format_fixed
from kraken_bids.report.worth_words import beats_mean
from kraken_bids.report.written import Columns, Written, read_or_none, sort_flavors
from kraken_bids.report.written_group import (
    WHOSE,
    WrittenGroup,
    label_rows,
    read_group_records,
    read_group_table,
)
from kraken_bids.scores.deviations import Finding
from kraken_bids.scores.discordance import MEASURES, RATE
from kraken_bids.scores.quality_control import CROSS_MODAL

FROM_SC = CROSS_MODAL["FC"]
MAX_ROWS = 30
"""Findings of a session that its page shows; the rest is in the table."""
MAX_NAMES = 5
"""Places that a sentence names."""
UNLIKE = 3.0
"""z of the whole brain's size from which quality is to be looked at first."""
NUMBERS = ("expected", "z", "p", "q")
TEXTS = ("target", "source", "level", "name")


@dataclass(frozen=True)
class Discordance:
    """What the page of a session shows."""

    found: Sequence[Finding] = ()
    """Most certain first."""
    targets: Sequence[str] = ()
    """Flavors that were compared, in the order shown."""
    n_tested: int = 0
    """Tests of each measure, all flavors together."""
    n_controls: int = 0
    covariates: Sequence[str] = ()
    are_named: bool = False
    without_gain: frozenset[str] = frozenset()
    """Flavors of which structure predicts nothing but the group's mean."""
    brain_size_z: float = 0.0
    """Largest z of the size of the whole brain's residuals."""
    columns: Columns = field(default_factory=dict)
    """Rows of the flavor that is drawn."""
    drawn: str = ""
    """That flavor."""
    refused: str = ""
    """Why there is nothing to show."""


def gather_subject(written: Written) -> Discordance | None:
    """Gather what differs in a session; None where nothing was ever compared."""
    path = discordance_path(written.output_dir, written.member.subject, written.member.session)
    if not path.exists():
        reason = _find_reason(written)
        return Discordance(refused=reason) if reason else None
    facts = read_facts(sidecar_path(path))
    if facts.text("PredictionsDigest") != written.predicted.text(FILE.run_digest):
        return Discordance(
            refused="predicted anew since it was compared: run the group level again"
        )
    numbers = [name for m in MEASURES for name in (m, *(f"{m}_{one}" for one in NUMBERS))]
    columns = read_or_none(lambda: read_table(path, numbers=numbers, texts=TEXTS))
    if not columns or not len(columns["name"]):
        return None
    pairs = written.once(read_pairs)
    without = frozenset(
        one.target for one in pairs.values() if one.source == FROM_SC and not beats_mean(one)
    )
    return _summarize(columns, facts, without)


def _find_reason(written: Written) -> str:
    columns = written.once(_read_tests)
    labels = label_rows(columns) if columns else []
    own = [k for k, label in enumerate(labels) if label == written.member.label]
    reasons = [str(columns["reason"][k]) for k in own]
    return next((reason for reason in reasons if reason not in {"nan", "n/a"}), "")


def _read_tests(known: Written | WrittenGroup) -> Columns:
    texts = ("participant_id", "session_id", "target", "measure", "reason")
    numbers = ("n_tested", "n_found", "share_p05")
    return read_group_table(
        known.output_dir, "discordance_tests.tsv", numbers=numbers, texts=texts
    )


def _summarize(columns: Columns, facts: Facts, without: frozenset[str]) -> Discordance:
    found = list_findings(columns)
    targets = [flavor.name for flavor in sort_flavors(set(columns["target"].tolist()))]
    counts = {target: sum(one.target == target for one in found) for target in targets}
    drawn = max(targets, key=lambda one: (one not in without, counts[one]), default="")
    is_brain = columns["level"] == "brain"
    sizes = columns["size_z"][is_brain & np.isfinite(columns["size_z"])]
    return Discordance(
        found,
        targets,
        without_gain=without,
        n_tested=int(np.isfinite(columns["shift_z"]).sum()),
        n_controls=facts.count("NControls") or 0,
        covariates=facts.texts("Covariates"),
        are_named=facts.text("Controls") == "named",
        brain_size_z=float(sizes.max(initial=0.0)),
        columns={name: values[columns["target"] == drawn] for name, values in columns.items()},
        drawn=drawn,
    )


def list_findings(columns: Columns) -> list[Finding]:
    """List what passes the false discovery rate in the table of a session, surest first."""
    found: list[Finding] = []
    for measure in MEASURES:
        numbers = {
            name: columns[f"{measure}{ending}"]
            for name, ending in (("value", ""), *((one, f"_{one}") for one in NUMBERS))
        }
        passed = numbers["q"] <= RATE
        own = {name: columns[name][passed] for name in TEXTS}
        own |= {name: values[passed] for name, values in numbers.items()}
        own["measure"] = np.full(passed.sum(), measure)
        tested = columns["target"][np.isfinite(numbers["q"])]
        own["n_tested"] = (tested == own["target"][:, None]).sum(axis=1)
        found += from_columns(Finding, own)
    return sorted(found, key=lambda one: (one.q, -abs(one.z)))


def explain_rate(rate: float) -> str:
    """Write a false discovery rate; those that nobody needs to tell apart alike."""
    return f"{rate:.4f}" if rate >= 1e-4 else "< 0.0001"


def explain_finding(one: Finding) -> str:
    """Say in words what is different."""
    if one.measure == "shift":
        return "more strongly connected" if one.z > 0 else "more weakly connected"
    return "less like the prediction" if one.z > 0 else "more like the prediction"


def summarize_subject(data: Discordance) -> str:
    """Headline on a session: what differs, or that nothing does."""
    n_flavors = count_noun(len(data.targets), "functional flavor")
    if not data.found:
        return (
            f"In none of {n_flavors} does function differ from what this person's structure lets "
            "expect by more than controls do."
        )
    sure = [one for one in data.found if one.target not in data.without_gain]
    than = "what this person's structure lets expect" if sure else "the group's mean"
    places: dict[str, list[Finding]] = {}
    for one in sure or data.found:
        if one.level != "brain":
            places.setdefault(one.name, []).append(one)
    if not places:
        return f"The brain as a whole differs from {than}."
    words = [_name_place(name, own) for name, own in list(places.items())[:MAX_NAMES]]
    more = f", and {len(places) - MAX_NAMES} more" if len(places) > MAX_NAMES else ""
    return f"Function differs from {than} at {', '.join(words)}{more}."


def _name_place(name: str, own: Sequence[Finding]) -> str:
    flavors = len({one.target for one in own})
    first = own[0]
    where = f" in {flavors} flavors" if flavors > 1 else ""
    return f"{name} ({explain_finding(first)}, z = {format_fixed(first.z, 1)}{where})"


def draw_subject(data: Discordance) -> dict[str, bytes]:
    """Draw the flavor in which most was found."""
    return {"discordance": draw_deviations(data.drawn, data.columns)} if data.drawn else {}


def gather_group(group: WrittenGroup) -> dict[str, Any] | None:
    """Gather tests by target, and what was found; None where nothing was compared."""
    tests = group.once(_read_tests)
    if not tests or not len(tests["target"]):
        return None
    is_tested = (tests["n_tested"] > 0) & np.isfinite(tests["n_tested"])
    rows = []
    for flavor in sort_flavors(set(tests["target"].tolist())):
        own = is_tested & (tests["target"] == flavor.name)
        for measure in MEASURES:
            here = own & (tests["measure"] == measure)
            if here.any():
                n_found = tests["n_found"][here]
                row = {
                    "target": flavor.name,
                    "measure": measure,
                    "n": int(here.sum()),
                    "n_tested": int(tests["n_tested"][here].max()),
                    "n_found": int((n_found > 0).sum()),
                    "share": float(np.nanmean(tests["share_p05"][here])),
                }
                rows.append(row)
    refused = sorted(set(tests["reason"][~is_tested].tolist()))
    return {
        "rows": rows,
        "refused": refused,
        "n_refused": len(set(np.array(label_rows(tests))[~is_tested].tolist())),
        "people": _list_subjects(group),
        "n_sessions": len(set(np.array(label_rows(tests))[is_tested].tolist())),
        "n_families": int(is_tested.sum()),
        "n_found": int((tests["n_found"] > 0).sum()),
        "by_chance": round(RATE * int(is_tested.sum())),
    }


def _list_subjects(group: WrittenGroup) -> list[tuple[str, str, int, list[Finding]]]:
    """List of whom something was found, surest first: label, page, how much, and some of it."""
    columns, rows = read_group_records(group.output_dir, "discordance.tsv", Finding, texts=WHOSE)
    found: dict[str, list[Finding]] = {}
    for label, one in zip(label_rows(columns) if columns else (), rows, strict=True):
        found.setdefault(label, []).append(one)
    people = [
        (label, group.pages.get(label, ""), len(own), sorted(own, key=lambda one: one.q)[:3])
        for label, own in found.items()
    ]
    return sorted(people, key=lambda one: one[3][0].q)


SUBJECT = Section(
    "discordance",
    "Structure and function",
    "discordance_of_subject.html",
    gather_subject,
    heading="Where function differs from what structure lets expect",
    draw=draw_subject,
    figures=("discordance",),
    words={
        "summarize": summarize_subject,
        "explain": explain_finding,
        "explain_rate": explain_rate,
        "max_rows": MAX_ROWS,
        "unlike": UNLIKE,
    },
)
GROUP = Section(
    "discordance",
    "Structure and function",
    "discordance_of_group.html",
    gather_group,
    heading="Where function differs from what structure lets expect",
    words={"count_noun": count_noun, "explain": explain_finding},
)
