"""What the two HTML pages show, as plain values: the contract between the pipeline and the report.

Nothing here touches a file or draws. A value that is not known is ``None`` (or NaN) and is shown
as a dash; an empty tuple leaves its section out or says why it is empty. Texts are plain: the page
escapes them.
"""

from kraken_bids.report.pages.group import (
    Colouring,
    GroupPage,
    Identifiability,
    Latents,
    MetricRow,
    MotionEffect,
    OutlierRow,
    QualityRow,
    SourceByTarget,
)
from kraken_bids.report.pages.participant import (
    FlavorPanel,
    LatentRow,
    ParticipantPage,
    Prediction,
)
from kraken_bids.report.pages.people import (
    FAILED,
    GOOD,
    LOOK,
    NOT_JUDGED,
    VERDICTS,
    ErrorRow,
    PersonRow,
    PredictionVerdicts,
)
from kraken_bids.report.pages.quality import BrainPicture, Carpet, Coverage, Motion, RunRow
from kraken_bids.report.pages.registration import Registration
from kraken_bids.report.pages.shared import (
    AdaptationFit,
    Booleans,
    FileLink,
    Floats,
    Group,
    Level,
    ModelInfo,
    Notice,
    Reference,
    SourceGroup,
)
from kraken_bids.report.pages.structure import EndShares, Network, TractogramRow
from kraken_bids.report.pages.trust import TrustRow

__all__ = [
    "FAILED",
    "GOOD",
    "LOOK",
    "NOT_JUDGED",
    "VERDICTS",
    "AdaptationFit",
    "Booleans",
    "BrainPicture",
    "Carpet",
    "Colouring",
    "Coverage",
    "EndShares",
    "ErrorRow",
    "FileLink",
    "FlavorPanel",
    "Floats",
    "Group",
    "GroupPage",
    "Identifiability",
    "LatentRow",
    "Latents",
    "Level",
    "MetricRow",
    "ModelInfo",
    "Motion",
    "MotionEffect",
    "Network",
    "Notice",
    "OutlierRow",
    "ParticipantPage",
    "PersonRow",
    "Prediction",
    "PredictionVerdicts",
    "QualityRow",
    "Reference",
    "Registration",
    "RunRow",
    "SourceByTarget",
    "SourceGroup",
    "TractogramRow",
    "TrustRow",
]
