"""How well sites are told apart before and after adaptation: rows of ``group/sites.tsv``."""

from dataclasses import dataclass

from kraken_bids.io.records import column

MIN_PEOPLE = 5
"""Subjects of a site from which it is asked whether it can be told from others."""
BEFORE, AFTER = "none", "by site"
STATES = {BEFORE: "as measured", AFTER: "each site adapted without those held out"}
METRICS = {
    "balanced_accuracy": "share of people whose site is told right, mean over sites",
    "correlation": "of a covariate with its prediction",
    "slope_share": "share of the covariate's slope within sites that is found over all sites; 1: "
    "kept, 0: taken away with the sites",
}


@dataclass(frozen=True)
class SiteScore:
    """One score of how much of sites, or of a covariate, features hold."""

    source: str = column("fusion of several flavors, or one flavor")
    features: str = column(
        "what is decoded",
        levels={
            "latent": "latent of the source",
            "connectome": "the flavor's connectomes, projected on the model's first layer",
        },
    )
    adaptation: str = column("adaptation of the connectomes", levels=STATES)
    target: str = column("what is told from them: the column of sites, or a covariate")
    metric: str = column(levels=METRICS)
    value: float | None = column("in people held out; of slope_share: in everyone")
    chance: float | None = column("value of features that say nothing")
    null_low: float | None = column("95 % of permutations of people lie above, one-sided p beside")
    null_high: float | None = column("95 % of them lie below")
    p: float | None = column("share of permutations that do as well")
    n_sessions: int = column("sessions")
    n_people: int = column("people; all sessions of one are held out together")
    n_sites: int = column(f"sites with at least {MIN_PEOPLE} people")
