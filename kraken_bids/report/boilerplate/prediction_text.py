"""How connectomes were predicted and calibrated, as a methods section says it."""

from collections.abc import Mapping, Sequence

from kraken_bids.bids.outputs import intervals_path, sidecar_path
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.report.boilerplate.sessions import Described, join

FUSIONS = {
    "fusion": "of all of a session's connectomes",
    "fusionSC": "of its structural connectomes alone",
    "fusionFC": "of its functional connectomes alone",
}
FITTED = (
    "Before they were encoded, connectomes were adapted to the training population: the mean "
    "connectome of {n} of this study was regressed on that of the training data over edges, "
)
ADAPTED = {
    "meanfit+meanshift": FITTED + "and each connectome was multiplied by the slope ({slopes}) and "
    "shifted so that the two means coincide",
    "meanfit": FITTED + "and each connectome was mapped by its slope ({slopes}) and intercept",
    "meanshift": "Before they were encoded, connectomes were adapted to the training population: "
    "each was shifted by the difference between the mean connectome of the training data and that "
    "of {n} of this study",
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
        (facts.text("Model"), facts.count("ModelFlavors"), facts.text("ModelSHA256"))
        for facts in sources.values()
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
        f"Connectomes were predicted from {_list_latents(sources)}",
    ]
    return [" ".join(f"{sentence}." for sentence in sentences)]


def _list_latents(sources: Mapping[str, Facts]) -> str:
    fused = [words for name, words in FUSIONS.items() if name in sources]
    n_single = sum(name not in FUSIONS for name in sources)
    texts = [f"the mean of the latent vectors {join(fused)}"] if fused else []
    texts += [f"the latent vector of each of {n_single} flavor(s)"] if n_single else []
    return ", and from ".join(texts)


def _describe_adaptation(sources: Sequence[Facts]) -> list[str]:
    modes = dict.fromkeys(facts.text("AdaptationMode") for facts in sources)
    found = []
    for mode in modes:
        if mode not in ADAPTED:
            found.append("Connectomes were not adapted to the training population")
            continue
        fits = [
            fit
            for facts in sources
            if facts.text("AdaptationMode") == mode
            for fit in facts.part("Adaptation").by_name().values()
        ]
        sizes = [size for fit in fits if (size := fit.count("CohortSize"))]
        slopes = [slope for fit in fits if (slope := fit.number("b0")) is not None]
        n = f"{max(sizes)} sessions" if sizes else "the sessions"
        spread = f"{min(slopes):.2f} to {max(slopes):.2f}" if slopes else "one for each flavor"
        found.append(ADAPTED[mode].format(n=n, slopes=spread))
    return found


def describe_calibration(described: Described) -> list[str]:
    """Paragraph on calibrated predictions; none where there are none."""
    for written in described.read:
        member = written.member
        path = intervals_path(described.output_dir, member.subject, member.session)
        pairs = read_facts(sidecar_path(path)).part("Calibrated").by_name()
        fitted = [n for pair in pairs.values() if (n := pair.count("NFitted"))]
        shares = [c for pair in pairs.values() if (c := pair.number("IntervalCoverage"))]
        if fitted:
            low, high = min(fitted), max(fitted)
            number = f"{low}" if low == high else f"{low} to {high}"
            coverage = f" that hold {100 * shares[0]:g} % of edges" if shares else ""
            return [
                f"Predictions of the other modality were calibrated on the {number} sessions in "
                "which the target had been measured. Each edge's value was mapped by a line "
                "through the means, whose slope was shrunk over edges by empirical Bayes and "
                "multiplied by one factor that cross-validation had chosen; people of one family "
                "were held out together, and calibrated predictions of a person are those of a "
                f"fit without this person. Prediction intervals{coverage} were taken from "
                "held-out errors (jackknife-minmax over folds [@barber2021jackknife])."
            ]
    return []
