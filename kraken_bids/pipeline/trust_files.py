"""Trust in files: columns of ``group/qc.tsv``, and the sidecars of the latents."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.outputs import latents_path, sidecar_path
from kraken_bids.bids.read import read_json
from kraken_bids.bids.write import write_json
from kraken_bids.flavors import Flavor
from kraken_bids.pipeline.cohort import Member
from kraken_bids.pipeline.scores import CrossModalScore
from kraken_bids.pipeline.trust import FileTrust

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
    "trust": "ok: nothing unusual; check: see note; n/a: too few people to say",
    "note": "what is unusual, in words",
}
NOTHING = FileTrust()


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
) -> None:
    """Write ``Trust`` into the sidecar of each session's latents: an entry per input flavor.

    What an earlier run found among more sessions stays.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    trust : mapping
        By index of the member, and flavor.
    scores : mapping, optional
        Comparison of the measured connectomes with their predictions, by the same keys.
    """
    for index, member in enumerate(members):
        files = {f: file for (k, f), file in sorted(trust.items()) if k == index}
        path = sidecar_path(latents_path(output_dir, member.subject, member.session))
        if not files or not path.exists():
            continue
        entries = {
            flavor.name: _describe(file, (scores or {}).get((index, flavor)))
            for flavor, file in files.items()
        }
        content = read_json(path)
        if content.get("TrustSessions", 0) <= len(members):
            write_json(path, {**content, "TrustSessions": len(members), "Trust": entries})


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
