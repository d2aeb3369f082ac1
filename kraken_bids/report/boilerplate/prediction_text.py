"""How connectomes were predicted and calibrated, as a methods section says it."""

from collections.abc import Sequence

from kraken_bids.bids.outputs import intervals_path, sidecar_path
from kraken_bids.cohort.output_connectomes import list_predicted_sources
from kraken_bids.cohort.sidecar_records import ADAPTATION, FIT, MODEL, ModelRecord
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.records import from_sidecar
from kraken_bids.report.boilerplate.sessions import Described, join, span_counts

FUSIONS = {
    "fusion": "of all of a session's connectomes",
    "fusionSC": "of a session's structural connectomes alone",
    "fusionFC": "of a session's functional connectomes alone",
}
FITTED = (
    "Before they were encoded, connectomes were adapted to the training population: the mean "
    "connectome of the {n} that this was fitted on was regressed on that of the training data "
    "over edges, "
)
ADAPTED = {
    "meanfit+meanshift": FITTED + "and each connectome was multiplied by the slope ({slopes}) and "
    "shifted so that the two means coincide",
    "meanfit": FITTED + "and each connectome was mapped by its slope ({slopes}) and intercept",
    "meanshift": "Before they were encoded, connectomes were adapted to the training population: "
    "each was shifted by the difference between the mean connectome of the training data and that "
    "of the {n} that this was fitted on",
}
ADAPTED["meanfitshift"] = ADAPTED["meanfit+meanshift"]


def describe_predictions(described: Described) -> list[str]:
    """Paragraph on predictions; none before there are any."""
    sources: dict[str, Facts] = {}
    for written in described.read:
        sources = dict(written.sources) | sources
    if not sources:
        return []
    models = dict.fromkeys(
        (one.model, one.model_flavors, one.model_sha256)
        for one in (from_sidecar(ModelRecord, facts) for facts in sources.values())
    )
    named = join(
        f"{name} ({number or 'several'} flavors of connectomes; SHA-256 {digest[:12]}…)"
        for name, number, digest in models
    )
    sentences = [
        "Connectomes were encoded as latent vectors of the Krakencoder "
        f"[@jamison2025krakencoder], model {named}",
        "Edges of missing regions were given the mean of the training data; connectomes with more "
        "than 5 % of the regions missing were not encoded",
        *_describe_adaptation(list(sources.values())),
        *_describe_targets(described),
    ]
    return [" ".join(f"{sentence}." for sentence in sentences)]


def _describe_targets(described: Described) -> list[str]:
    """Sentence on what connectomes were predicted from; latents alone are no predictions."""
    members = [written.member for written in described.read]
    sources = list_predicted_sources(described.output_dir, members)
    fused = [words for name, words in FUSIONS.items() if name in sources]
    texts = [f"the mean of the latent vectors {join(fused)}"] if fused else []
    n_single = len(sources) - len(fused)
    texts += [f"the latent vector of each of {n_single} flavor(s)"] if n_single else []
    return [f"Connectomes were predicted from {', and from '.join(texts)}"] if texts else []


def _describe_adaptation(sources: Sequence[Facts]) -> list[str]:
    modes = dict.fromkeys(facts.text(MODEL.adaptation_mode) for facts in sources)
    found = []
    for mode in modes:
        if mode not in ADAPTED:
            found.append("Connectomes were not adapted to the training population")
            continue
        fits = [
            fit
            for facts in sources
            if facts.text(MODEL.adaptation_mode) == mode
            for fit in facts.part(ADAPTATION.adaptation).by_name().values()
        ]
        sizes = [size for fit in fits if (size := fit.count(FIT.cohort_size))]
        slopes = [slope for fit in fits if (slope := fit.number(FIT.b0)) is not None]
        n = f"{span_counts(sizes)} people" if sizes else "people"
        spread = f"{min(slopes):.2f} to {max(slopes):.2f}" if slopes else "one for each flavor"
        found.append(ADAPTED[mode].format(n=n, slopes=spread))
    return found + _describe_sites(sources)


def _describe_sites(sources: Sequence[Facts]) -> list[str]:
    """Sentence on the sites that were adapted by themselves; none where all were as one."""
    columns = sorted({by for facts in sources if (by := facts.text(ADAPTATION.adaptation_by))})
    kept = sorted(
        {name for facts in sources for name in facts.texts(ADAPTATION.adaptation_covariates)}
    )
    if not columns:
        return []
    allowed = (
        f", whose mean was estimated for people of average {join(kept)}, by regression of every "
        "edge on site and covariates"
        if kept
        else ""
    )
    return [f"This was done for each site (column {join(columns)}) by itself{allowed}"]


def describe_calibration(described: Described) -> list[str]:
    """Paragraph on calibrated predictions; none where there are none."""
    pairs = [
        pair
        for written in described.read
        for pair in read_facts(
            sidecar_path(
                intervals_path(
                    described.output_dir, written.member.subject, written.member.session
                )
            )
        )
        .part("Calibrated")
        .by_name()
        .values()
    ]
    fitted = [n for pair in pairs if (n := pair.count("NFitted"))]
    shares = sorted({c for pair in pairs if (c := pair.number("IntervalCoverage"))})
    if not fitted:
        return []
    coverage = f" that hold {join(f'{100 * one:g} %' for one in shares)} of edges" * bool(shares)
    return [
        "Predictions of the other modality were calibrated, those of each person on "
        f"{span_counts(fitted)} sessions of other people in which the target had been measured. "
        "Each edge's value was mapped by a line through the means, whose slope was shrunk over "
        "edges by empirical Bayes and multiplied by one factor that cross-validation had chosen; "
        f"people of one family were held out together. Prediction intervals{coverage} were taken "
        "from held-out errors (jackknife-minmax over folds [@barber2021jackknife])."
    ]
