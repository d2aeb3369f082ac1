"""Trust in files: columns of ``group/qc.tsv``, and the sidecars of latents and predictions."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.outputs import (
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.prediction_plan import PredictionPlan
from kraken_bids.cohort.sidecars import (
    fingerprint,
    hold_session,
    order_added,
    read_digest,
)
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline.check.cohort_scores import CROSS_MODAL, CrossModalScore
from kraken_bids.pipeline.check.input_trust import FileTrust
from kraken_bids.pipeline.check.prediction_verdicts import ALONE, Verdict
from kraken_bids.scores.doubt_words import NOT_JUDGED

TRUST_WORDS = {
    "outside_share": "share of the adapted input's variance around the training mean that the "
    "model's transform does not see",
    "outside_ratio": "that share over the share of the training data; new people are above 1",
    "input_distance": "distance of the adapted input from the training mean; 1 is the root mean "
    "square of the training data",
    "latent_fit": "log odds that the latent belongs to the session's other latents; "
    "below -3 it does not fit",
    "latent_rank": "rank of the session's own other latents among everyone's, by how well they "
    "fit this file's; 1 is best",
    "latent_rank_n": "people ranked",
    "latent_best_match": "whose other latents fit this file's best among the other people",
    "latent_distance": "distance of the latent from the cohort's median latent of the flavor",
    "latent_distance_z": "robust z of that distance; above 5 it is unusual",
    "trust": "ok: nothing unusual; check: see note; not seen: less than 5 % of what sets the "
    "connectome apart from the training mean is seen by the model; n/a: too few people to say",
    "note": "what is unusual, in words",
}
NOTHING = FileTrust()
NOTHING_KNOWN = Verdict(NOT_JUDGED, ALONE)
WORST_FIRST = ("check", "n/a", "not seen", "ok")


def list_trust(file: FileTrust | None) -> dict[str, object]:
    """Columns of one file, named as in :data:`TRUST_WORDS`; absent where it was no input."""
    known = file or NOTHING
    return {
        "outside_share": known.outside,
        "outside_ratio": known.outside_ratio,
        "input_distance": known.distance,
        "latent_fit": known.fit,
        "latent_rank": known.rank,
        "latent_rank_n": known.n_ranked,
        "latent_best_match": known.best_match,
        "latent_distance": known.latent_distance,
        "latent_distance_z": known.latent_z,
        "trust": known.verdict,
        "note": known.note or None,
    }


def write_trust(
    output_dir: Path,
    members: Sequence[Member],
    trust: Mapping[tuple[int, Flavor], FileTrust],
    scores: Mapping[tuple[int, Flavor], CrossModalScore] | None = None,
    *,
    verdicts: Mapping[tuple[int, str, Flavor], Verdict] | None = None,
    digests: Mapping[str, str] | None = None,
) -> list[Failure]:
    """Write ``Trust`` into the sidecar of each session's latents: an entry per input flavor.

    What an earlier run found among more sessions stays; so does what the group level found, which
    judges more, as long as everyone's predictions are those that it saw.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    trust : mapping
        By index of the member, and flavor.
    scores : mapping, optional
        Comparison of the measured connectomes with their predictions, by the same keys.
    verdicts : mapping, optional
        On predictions, by index of the member, source and target; written as ``Verdicts``.
    digests : mapping, optional
        Digest of this run's predictions by the session's label; a session that another run has
        predicted since is left alone.

    Returns
    -------
    list of Failure
        Sessions whose file could not be written.
    """
    failures: list[Failure] = []
    files_of: dict[int, dict[Flavor, FileTrust]] = {}
    for (index, flavor), file in sorted(trust.items()):
        files_of.setdefault(index, {})[flavor] = file
    verdicts_of = _group_verdicts(verdicts or {})
    paths = [latents_path(output_dir, member.subject, member.session) for member in members]
    known = [(digests or {}).get(member.label) for member in members]
    seen = digest(
        "trust",
        [(p.name, own or read_digest(p)) for p, own in zip(paths, known, strict=True)],
    )
    level = "participant" if scores is None else "group"
    for index, latents in enumerate(paths):
        files = files_of.get(index, {})
        if not files:
            continue
        entries = {
            flavor.name: _describe(file, (scores or {}).get((index, flavor)))
            for flavor, file in files.items()
        }
        judged = {
            source: {target: verdict.describe() for target, verdict in own.items()}
            for source, own in verdicts_of.get(index, {}).items()
        }
        fields = {"TrustSessions": len(members), "Trust": entries, "Verdicts": judged or None}
        fields |= {"TrustLevel": level, "TrustDigest": seen}
        with (
            _failing_alone(failures, members[index]),
            hold_session(output_dir, members[index].label),
        ):
            content = read_predicted(latents, (digests or {}).get(members[index].label))
            if content and _may_be_judged_by(level, seen, content, n_members=len(members)):
                _add_fields(sidecar_path(latents), fields, content=content)
    return failures


def _failing_alone(
    failures: list[Failure], member: Member
) -> contextlib.AbstractContextManager[None]:
    return failing_alone(
        failures, subject=member.subject, session=member.session, stage="predictions"
    )


def _may_be_judged_by(level: str, seen: str, content: Facts, *, n_members: int) -> bool:
    """Whether a run may replace what an earlier one has found of a session."""
    if (content.count("TrustSessions") or 0) > n_members:
        return False
    return (
        level == "group"
        or content.text("TrustLevel") != "group"
        or content.text("TrustDigest") != seen
    )


def read_predicted(latents: Path, digest: str | None) -> Facts:
    """Sidecar of a session's latents; empty where another run has predicted since.

    Parameters
    ----------
    latents : Path
    digest : str or None
        That of this run's predictions; None where it does not matter.
    """
    content = read_facts(sidecar_path(latents))
    return content if digest is None or content.text("RunDigest") == digest else Facts()


def _group_verdicts(
    verdicts: Mapping[tuple[int, str, Flavor], Verdict],
) -> dict[int, dict[str, dict[str, Verdict]]]:
    """Verdicts on predictions by index of the member, source and target."""
    grouped: dict[int, dict[str, dict[str, Verdict]]] = {}
    for (index, source, target), verdict in verdicts.items():
        grouped.setdefault(index, {}).setdefault(source, {})[target.name] = verdict
    return grouped


def write_trust_of_predictions(plan: PredictionPlan, members: Sequence[Member]) -> list[Failure]:
    """Write the verdict on it, ``Trust``, into the sidecar of every predicted connectome.

    It stands in the latents' sidecar too. With it stand the worst verdict on its inputs, and for
    predictions from the other modality how they compare with the measured connectome. Sidecars
    that say so already are left alone.

    Parameters
    ----------
    plan : PredictionPlan
    members : sequence of Member
        Whose latents' sidecars :func:`write_trust` has completed.

    Returns
    -------
    list of Failure
        Sessions whose files could not be written.
    """
    output = plan.settings.data.output_dir
    failures: list[Failure] = []
    for member in members:
        with _failing_alone(failures, member), hold_session(output, member.label):
            _write_trust_of_member(plan, member, n_members=len(members))
    return failures


def _write_trust_of_member(plan: PredictionPlan, member: Member, *, n_members: int) -> None:
    output = plan.settings.data.output_dir
    latents = latents_path(output, member.subject, member.session)
    content = read_predicted(latents, plan.digests.get(member.label))
    if "Trust" not in content:
        return
    warnings = _list_warnings(content, plan.warned.list_of(member.label), n_members)
    _add_fields(sidecar_path(latents), {"Warnings": warnings}, content=content)
    place = {
        "TrustDetails": f"bids::{sidecar_path(latents).relative_to(output).as_posix()}",
        "Warnings": warnings,
    }
    summaries = {
        (source.name, target): _summarize(content, source.name, target)
        for source in plan.written_sources
        for target in plan.targets
        if source.name in content.part("InputSources")
    }
    if plan.settings.prediction.output_format == "h5":
        by_name = {f"{name}/{target}": words for (name, target), words in summaries.items()}
        archive = prediction_archive_path(output, member.subject, member.session)
        _add_fields(sidecar_path(archive), {"Trust": by_name, **place})
        return
    for (name, target), words in summaries.items():
        path = relmat_path(output, member.entities, target, source=name)
        fields = {"Trust": words, **place}
        if plan.fingerprints.get(path) != fingerprint(order_added({}, fields)):
            _add_fields(sidecar_path(path), fields)


def _summarize(content: Facts, source: str, target: Flavor) -> dict[str, object]:
    """Verdict on a prediction, worst verdict on its inputs, their notes, its agreement."""
    inputs = content.part("InputSources").part(source).texts("SourceFlavors")
    trust = content.part("Trust")
    known = {name: trust.part(name) for name in inputs}
    verdicts = {entry.text("Verdict") or "n/a" for entry in known.values()}
    notes = {name: entry.text("Note") for name, entry in known.items() if entry.text("Note")}
    measured = trust.part(target.name).plain if source == CROSS_MODAL[target.group] else {}
    verdict = content.part("Verdicts").part(source).part(target.name)
    return {
        **(verdict.plain or NOTHING_KNOWN.describe()),
        "Inputs": next((one for one in WORST_FIRST if one in verdicts), "n/a"),
        **({"Notes": notes} if notes else {}),
        **{key: value for key, value in measured.items() if key.startswith("CrossModal")},
    }


def _list_warnings(content: Facts, found: Sequence[str], n_members: int) -> list[str] | None:
    """List what to warn of: what was found, and what an earlier run found among more sessions."""
    judged = content.count("TrustSessions") or 0
    earlier = content.texts("Warnings") if judged > n_members else []
    return list(dict.fromkeys([*earlier, *found])) or None


def _add_fields(path: Path, fields: Mapping[str, object], *, content: Facts | None = None) -> None:
    """Add fields to a sidecar, written only where that changes it.

    Parameters
    ----------
    path : Path
    fields : mapping
    content : Facts, optional
        What the sidecar says; else it is read.
    """
    if content is None and not path.exists():
        return
    before = (read_facts(path) if content is None else content).plain
    after = order_added(before, fields)
    if list(after.items()) != list(before.items()):
        write_json(path, after)


def _describe(file: FileTrust, score: CrossModalScore | None) -> dict[str, object]:
    """Fields of one file; what is not known is left out."""
    fields = {
        "Verdict": file.verdict,
        "Note": file.note or None,
        "OutsideShare": file.outside,
        "OutsideShareTraining": file.outside_training,
        "OutsideRatio": file.outside_ratio,
        "InputDistance": file.distance,
        "LatentFit": file.fit,
        "LatentRank": file.rank,
        "LatentRankOf": file.n_ranked,
        "LatentBestMatch": file.best_match,
        "LatentDistance": file.latent_distance,
        "LatentDistanceZ": file.latent_z,
        "CrossModalCorrelation": score.correlation if score else file.correlation,
        "CrossModalCorrelationResidual": (
            score.correlation_resid if score else file.correlation_resid
        ),
        "CrossModalRank": score.rank if score else None,
        "CrossModalRankOf": score.n if score else None,
    }
    return {key: value for key, value in fields.items() if value is not None}
