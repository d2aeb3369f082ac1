"""Verdicts on predictions as a table of the group: ``group/predictions.tsv``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.check.prediction_verdicts import Verdict
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED

LEVELS = {
    ABOUT: "it explains part of what sets this person apart from the group",
    MEAN: "it tells no more of this person than the mean of the group does",
    NOT_JUDGED: "too few people have both, or a file that it rests on is unusual; see reason",
}
COLUMN_WORDS = {
    "explained": "share of what sets this person apart from the group's mean that the prediction "
    "explains; negative where it errs more than the mean does; n/a where not measured",
    "rank": "rank of the own prediction among everyone's for the measured connectome; 1 is best",
    "explained_people": "share of the differences between people that such predictions explain, "
    "measured edges being adapted first",
    "average_rank": "average rank of such predictions; 1 is perfect, (n+1)/2n chance",
    "n": "sessions that were compared",
    "reason": "what the verdict rests on",
}


def write_verdicts(
    output_dir: Path,
    members: Sequence[Member],
    verdicts: Mapping[tuple[int, str, Flavor], Verdict],
) -> None:
    """Write one row per session, source and target into ``group/predictions.tsv``.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    verdicts : mapping
        By index of the member, name of the source, and target.
    """
    rows = [
        {
            "participant_id": f"sub-{members[index].subject}",
            "session_id": f"ses-{session}" if (session := members[index].session) else None,
            "source": source,
            "target": target.name,
            "verdict": verdict.word,
            "explained": verdict.explained,
            "rank": verdict.rank,
            "explained_people": verdict.evidence and verdict.evidence.explained,
            "average_rank": verdict.evidence and verdict.evidence.average_rank,
            "n": verdict.evidence and verdict.evidence.n_people,
            "reason": verdict.reason,
        }
        for (index, source, target), verdict in verdicts.items()
    ]
    path = group_path(output_dir, "predictions.tsv")
    if not rows:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        return
    write_table(path, {key: [row[key] for row in rows] for key in rows[0]})
    write_json(path.with_suffix(".json"), {
        "Description": "Whether each predicted connectome is about the person named",
        "verdict": {"Levels": LEVELS},
        **{key: {"Description": words} for key, words in COLUMN_WORDS.items()},
    })  # fmt: skip
