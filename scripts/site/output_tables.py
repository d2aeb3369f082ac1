"""Every table that is written: the end of its name, what it is, and its columns.

Columns and their words are those of the dataclasses that write them; what has no such record is described
here, and tested against what a run writes.
"""

from dataclasses import dataclass, field
from typing import Any

from kraken_bids.cohort.part_pairs import PartPair, PartSummary
from kraken_bids.cohort.members import Whose
from kraken_bids.models.communities.comparison import Agreement
from kraken_bids.models.communities.resolution import Resolution
from kraken_bids.models.decoding_records import (
    ConfusionCount,
    DecodedTrial,
    DecodingScore,
    DeletedShare,
    FoldMember,
    RegionRelevance,
    TrainingPoint,
    ShuffledControl,
    WeightsCheck,
)
from kraken_bids.models.series.peers import PeerLoss
from kraken_bids.pipeline.check.group_tables import Distance, MeasuredQuality
from kraken_bids.pipeline.community_events import EventRow
from kraken_bids.pipeline.community_files import BaselineScore, CommunityRow
from kraken_bids.pipeline.explanation import KnockOut
from kraken_bids.scores.calibrated_records import (
    CalibratedPairRecord,
    CalibratedRecord,
    PairNames,
)
from kraken_bids.scores.deviations import DiscordanceTest, Finding, RegionDeviation
from kraken_bids.scores.motion_dependence import QcFc
from kraken_bids.scores.site_records import SiteScore
from kraken_bids.scores.quality_control import (
    Conclusion,
    CrossModalScore,
    InputQuality,
    Metric,
    Verdict,
)

COMMON = {
    "participant_id": "label of the participant, `sub-` included",
    "session_id": "label of the session, `ses-` included; `n/a` without sessions",
    "flavor": "flavor of the connectome",
    "source": "name of the input: one flavor, or a fusion",
    "target": "flavor that is predicted",
    "value": "value of the metric",
    "outside_share_training": "the same share, mean over the training data",
    "distance": "distance of the fused latent from the cohort's median latent",
    "outlier": "1 where the robust z-score is above the limit",
    "index": "number of the region in the label image",
    "name": "name of the region",
    "hemisphere": "L, R, or M for regions that lie on both sides",
    "group": "lobe, network or structure",
    "network": "lobe, network or structure",
    "community": "name of the community, C1, C2 …",
    "trial_type": "kind of the event",
    "x": "mm in MNI152NLin6Asym",
    "y": "mm in MNI152NLin6Asym",
    "z": "mm in MNI152NLin6Asym",
    "split": "part: train, validation or test",
    "z000": "first element of the latent; the others follow, `z001`, `z002` …",
}
"""Columns of one meaning wherever they stand."""


@dataclass(frozen=True)
class Table:
    """A table that is written: the end of its name, what it is, and its columns."""

    name: str
    words: str
    kinds: tuple[type[Any], ...] = ()
    columns: dict[str, str] = field(default_factory=dict)


PARTICIPANT = (
    Table(
        "sub-<label>/func/…_atlas-<A>_timeseries.tsv",
        "mean of each region before cleaning; a row per volume",
        columns={"REGION": "a column for every region, by its name"},
    ),
    Table(
        "sub-<label>/func/…_atlas-<A>_desc-hpf_timeseries.tsv",
        "cleaned series of each region (`desc-hpfgsr`: global signal regressed too, from `kraken-tools fc`)",
        columns={"REGION": "a column for every region, by its name"},
    ),
    Table(
        "sub-<label>/func/…_desc-quality_timeseries.tsv",
        "quality of every volume of a run",
        columns={
            "framewise_displacement": "framewise displacement, mm",
            "std_dvars": "standardised DVARS",
            "global_signal": "mean of the brain",
            "kept": "1 if the volume counts",
        },
    ),
    Table(
        "sub-<label>/func/…_atlas-<A>_coverage.tsv",
        "how much of every region was seen",
        columns={
            "index": "",
            "name": "",
            "n_voxels": "voxels of the region",
            "n_covered": "voxels with a signal that varies",
            "coverage": "share of the region with such a signal; the smallest over the runs",
            "lesion": "share of the region inside the lesion",
            "tsnr": "temporal signal-to-noise ratio, averaged over runs",
        },
    ),
    Table(
        "sub-<label>/func/…_reliability.tsv",
        "how alike connectomes of parts of the data are (`--per-run`, `--minutes`)",
        (PartPair,),
    ),
    Table(
        "sub-<label>/sub-<label>_desc-kraken_latents.tsv",
        "latents; a row per source",
        columns={
            "source": "",
            "n_inputs": "number of measured flavors that were averaged",
            "z000": "",
        },
    ),
    Table(
        "sub-<label>/sub-<label>_desc-discordance_regions.tsv",
        "where function differs from what structure predicts",
        (RegionDeviation,),
    ),
    Table(
        "sub-<label>/func/…_atlas-<A>_desc-communities_timeseries.tsv",
        "presence of each community in every volume",
        columns={"C1": "presence of the community, 0 to 1; a column for each"},
    ),
    Table(
        "sub-<label>/func/…_desc-decode_probabilities.tsv",
        "states that whole volumes were decoded into",
        columns={
            "volume": "number of the volume, from 1",
            "onset": "seconds from the first volume to the beginning of this one",
            "state": "most probable state",
            "p_STATE": "probability of the state; a column for each",
        },
    ),
    Table(
        "sub-<label>/func/…_atlas-<A>_desc-decode_relevance.tsv",
        "mean relevance of each decoded state, summed in regions",
        columns={"region": "name of the region", "STATE": "a column for every state"},
    ),
)
GROUP = (
    Table("group/participants.tsv", "one verdict per participant and session", columns={
        "participant_id": "", "session_id": "", "verdict": "good, look at, failed or not judged",
        "reasons": "what is wrong, in words, parted by semicolons",
    }),
    Table("group/predictions.tsv", "whether each prediction is about the person", (Whose, PairNames, Verdict)),
    Table("group/qc.tsv", "quality of every measured connectome", (Whose, MeasuredQuality, CrossModalScore, InputQuality, Conclusion)),
    Table("group/metrics.tsv", "how well each source predicts each target", (Metric,)),
    Table(
        "group/sites.tsv",
        "how well sites and covariates are told from the data before and after adaptation by site",
        (SiteScore,),
    ),
    Table("group/latents.tsv", "latents of everyone", columns={
        "participant_id": "", "session_id": "", "source": "", "n_inputs": "number of measured flavors that were averaged", "z000": "",
    }),
    Table("group/outliers.tsv", "distance of latents from the cohort's median", (Whose, Distance)),
    Table("group/qcfc.tsv", "how connectomes depend on motion", (QcFc,)),
    Table("group/reliability.tsv", "how alike connectomes of parts of the data are, over sessions", (PartSummary,)),
    Table("group/calibration.tsv", "calibration of each source and target", (CalibratedPairRecord,)),
    Table("group/calibrated.tsv", "what every calibrated prediction is worth", (Whose, PairNames, CalibratedRecord)),
    Table("group/discordance.tsv", "deviations from what structure predicts that were found", (Whose, Finding)),
    Table("group/discordance_tests.tsv", "what was tested, and what was not", (Whose, DiscordanceTest)),
    Table("group/pcorr.tsv", "search for the ridge of partial correlations (`--refit-pcorr`)", columns={
        "atlas": "parcellation", "lambda": "ridge that was tried", "error": "mean distance to the target over sessions",
    }),
    Table("group/atlas-<A>_desc-communities_probseg.tsv", "share of every community in each region", columns={
        "index": "", "name": "", "C1": "share of the community; a column for each",
    }),
    Table("group/atlas-<A>_desc-communities_dseg.tsv", "community with the largest share", columns={
        "index": "", "name": "", "community": "",
    }),
    Table("group/atlas-<A>_desc-communities_communities.tsv", "the communities", (CommunityRow,)),
    Table("group/atlas-<A>_desc-communities_metrics.tsv", "modularity beside that of Leiden", (BaselineScore,)),
    Table("group/atlas-<A>_desc-communities_resolution.tsv", "resolutions that were tried", (Resolution,)),
    Table("group/atlas-<A>_desc-communities_history.tsv", "course of the search", columns={
        "start": "number of the start", "epoch": "step of the search", "total": "objective, which is minimised",
        "modularity": "its term, weighted", "dynamic": "its term, weighted", "smooth": "its term, weighted", "bimodal": "its term, weighted",
    }),
    Table("group/atlas-<A>_desc-communities_modalities.tsv", "communities of other data, numbered alike", columns={
        "index": "", "name": "", "DATA": "community in these data; a column for each",
    }),
    Table("group/atlas-<A>_desc-communities_agreement.tsv", "agreement of communities of different data", (Agreement,)),
    Table("group/atlas-<A>_desc-communities_events.tsv", "presence around events of a task", (EventRow,)),
    Table("atlas-<A>_dseg.tsv", "regions, in the order of rows and columns", columns={
        "index": "", "name": "", "hemisphere": "", "group": "",
    }),
    Table(
        "logs/<who>_files.tsv",
        "files of a participant or of the group as they were written (`kraken-tools verify`)",
        columns={
            "path": "in OUTPUT_DIR",
            "size": "bytes",
            "sha256": "digest of the file",
            "modified": "time of change, nanoseconds",
        },
    ),
    Table("logs/failures.tsv", "who failed, and why", columns={
        "participant_id": "", "session_id": "", "stage": "what was being done", "error": "kind of the error",
        "message": "what was expected, found, where, and what to do", "run": "run of the program, which names its log",
    }),
)  # fmt: skip
TOOLS = (
    Table("evaluate: the `.tsv` of `--output`", "metrics of predictions", (Metric,)),
    Table("explain: `knockouts.tsv`", "what becomes of the score when edges are set to their mean", (KnockOut,)),
    Table("train: `history.tsv`", "course of the training", columns={
        "epoch": "times that the training subjects were seen; 0: before", "source": "", "target": "", "split": "",
        "metric": "which", "space": "`edges` (connectomes) or `transform` (scores of the network), never comparable",
        "predictor": "the model, its predictions dealt out to other people, or the group mean", "value": "", "n": "subjects compared",
    }),
    Table("train, pretrain: `splits.tsv`", "who is in which part", columns={
        "participant_id": "", "split": "", "family": "family; n/a for people alone (train)",
    }),
    Table("finetune: `finetune.tsv`", "gain of every rung", columns={
        "rung": "what was changed", "strength": "how far", "paths": "over which paths", "score": "cosine of observed and predicted deviations",
        "gain": "over plain adaptation", "low": "lower end of its 95 % interval", "high": "upper end",
    }),
    Table("pretrain: `history.tsv`; decode: `history.tsv`", "course of the training", (TrainingPoint,)),
    Table("pretrain: `peers.tsv`", "errors of the network and of simpler predictors", (PeerLoss,)),
    Table("decode: `predictions.tsv`", "trials of people held out, decoded", (DecodedTrial,)),
    Table("decode: `scores.tsv`", "how well trials are decoded", (DecodingScore,)),
    Table(
        "decode: `shuffles.tsv`",
        "networks trained on shuffled labels, beside guesses",
        (ShuffledControl,),
    ),
    Table("decode: `confusion.tsv`", "which label was taken for which", (ConfusionCount,)),
    Table("decode: `splits.tsv`", "in which part a person is held out", (FoldMember,)),
    Table("decode: `relevance.tsv`", "relevance of regions and volumes", (RegionRelevance,)),
    Table("decode: `relevance_check.tsv`", "whether relevance depends on what was learned", (WeightsCheck,)),
    Table("train-volumes: `deletion.tsv`", "what is left of a state's probability without some voxels", (DeletedShare,)),
    Table("embed: the `.tsv` of `--output`", "a vector per run or trial", columns={
        "participant_id": "", "session_id": "", "source": "`series`", "run": "file of the run", "task": "task", "n_volumes": "volumes",
        "label": "label of the trial", "onset": "its onset, s", "first_volume": "its first volume", "z000": "",
    }),
    Table("export: `sessions.tsv`", "whose layers come in which order", columns={"participant_id": "", "session_id": ""}),
    Table("export: `atlas-<A>_regions.tsv`", "regions of exported files", columns={
        "index": "", "name": "", "hemisphere": "", "network": "", "x": "", "y": "", "z": "",
    }),
)  # fmt: skip
