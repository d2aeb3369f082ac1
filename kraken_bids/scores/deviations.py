"""Records of discordance: rows of the tables of sessions and of the group."""

from dataclasses import dataclass

from kraken_bids.io.records import column

LEVELS = {
    "brain": "all edges",
    "network": "edges with at least one end in the network, lobe or structure",
    "region": "edges of the region",
}
MEASURE_WORDS = {
    "shift": "mean of measured less predicted edges; above 0: more strongly connected than "
    "predicted",
    "size": "root mean square of measured less predicted edges, compared by its logarithm; above "
    "expectation: farther from the prediction than controls are",
}
Z_WORDS = "standard normal deviate with the p of the comparison; 0 is what controls let expect"
P_WORDS = "two-sided p; exact where residuals of controls are normal"
Q_WORDS = (
    "smallest false discovery rate at which it is found (Benjamini and Hochberg) among the brain, "
    "networks and regions of this session, target and measure"
)


@dataclass(frozen=True)
class RegionDeviation:
    """How one region, network or brain differs from what was predicted of it."""

    target: str = column("flavor that was measured")
    source: str = column("what it was predicted from")
    level: str = column(levels=LEVELS)
    name: str = column("as in the table of regions; networks: its column group")
    shift: float = column(MEASURE_WORDS["shift"])
    shift_expected: float = column("shift that controls let expect at the session's covariates")
    shift_z: float = column(Z_WORDS)
    shift_p: float = column(P_WORDS)
    shift_q: float = column(Q_WORDS)
    size: float = column(MEASURE_WORDS["size"])
    size_expected: float = column("size that controls let expect at the session's covariates")
    size_z: float = column(Z_WORDS)
    size_p: float = column(P_WORDS)
    size_q: float = column(Q_WORDS)


@dataclass(frozen=True)
class DiscordanceTest:
    """One measure of one target of one session: what was tested, and how much was found."""

    target: str = column("flavor that was measured")
    source: str = column("what it was predicted from")
    measure: str = column(levels=MEASURE_WORDS)
    n_controls: int | None = column("controls whose covariates are known; n/a: not compared")
    freedom: int | None = column("degrees of freedom: controls less columns of the regression")
    n_tested: int = column("brain, networks and regions that were tested")
    n_found: int = column("those with a false discovery rate of at most 0.05")
    share_p05: float | None = column("share of the tests with p < 0.05, uncorrected")
    brain_z: float | None = column("z of the whole brain")
    reason: str | None = column("why the session was not compared", at_end=True)


@dataclass(frozen=True)
class Finding:
    """Something that passes the false discovery rate."""

    target: str = column("flavor that was measured")
    source: str = column("what it was predicted from")
    measure: str = column(levels=MEASURE_WORDS)
    level: str = column(levels=LEVELS)
    name: str = column("as in the table of regions; networks: its column group")
    value: float = column("of this session")
    expected: float = column("what controls let expect at the session's covariates")
    z: float = column(Z_WORDS)
    p: float = column(P_WORDS)
    q: float = column(Q_WORDS)
    n_tested: int = column("brain, networks and regions among which it was found", default=0)
