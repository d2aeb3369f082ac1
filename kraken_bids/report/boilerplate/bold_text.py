"""How functional connectomes were computed, as a methods section says it."""

from collections.abc import Sequence

from kraken_bids.cohort.measurements import CLEANING, FUNCTIONAL, RUN
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import Facts
from kraken_bids.report.boilerplate.sessions import Described, group_alike, join, span, span_counts

MOTION_24 = (
    "24 motion parameters (six rigid-body parameters, their temporal derivatives, and the squares "
    "of both) [@friston1996movement]"
)
OF_NILEARN = ("simple", "scrubbing", "compcor", "ica_aroma")
"""Strategies whose confounds hold fMRIPrep's discrete cosines, as those of acompcor."""
NILEARN = (
    "Confounds, discrete cosines among them, were those of nilearn's strategy “{}” "
    "[@abraham2014nilearn; @wang2024denoising]"
)
COMPUTED = "the mean and the first four principal components"
READ = "fMRIPrep's anatomical CompCor components"
"""Which stand in for them where there are no masks of the tissues."""
REGRESSED = {
    "fmriclean": "Nuisance signals were removed from the regional series in one linear regression "
    f"with {COMPUTED} of white matter and of cerebrospinal fluid [@behzadi2007compcor], "
    f"{MOTION_24} with forward differences as derivatives, the "
    "initial transient of each run and its derivative, one indicator for each volume left out, "
    "and a linear trend",
    "acompcor": "Nuisance signals were removed from the regional series in one linear regression "
    "with fMRIPrep's first five anatomical CompCor components of white matter and of "
    f"cerebrospinal fluid [@behzadi2007compcor], its discrete cosines, {MOTION_24}, one indicator "
    "for each volume left out, and a linear trend",
    "24p": "Nuisance signals were removed from the regional series in one linear regression with "
    f"{MOTION_24}, one indicator for each volume left out, and a linear trend",
    "36p": "Nuisance signals were removed from the regional series in one linear regression with "
    f"{MOTION_24}, the mean signals of white matter and of cerebrospinal fluid with their "
    "temporal derivatives and the squares of both [@satterthwaite2013confounds], one indicator "
    "for each volume left out, and a linear trend",
    "none": "No nuisance signals were regressed from the regional series but a linear trend and "
    "one indicator for each volume left out",
    **{
        name: NILEARN.format(name) + ", and were removed in one linear regression"
        for name in OF_NILEARN
    },
}
"""Sentence on each strategy, without its full stop."""
OUTLIERS = {
    "jump": "Volumes were left out where the global signal jumped by more than five robust "
    "standard deviations or the head moved by more than 0.9 mm, with the volume before "
    "[@whitfield2012conn]",
    "any column": "Volumes that fMRIPrep marks as outliers were left out",
    "framewise": "Volumes were left out where framewise displacement exceeded {fd} mm or "
    "standardised DVARS 1.5, and so were stretches of fewer than five volumes between them "
    "[@power2012motion]",
    "those that were filled": "Volumes that had been censored before were left out",
}
"""Sentence on each rule, by how the sidecar's ``OutlierRule`` begins."""
MEASURES = {
    ("FCcorr", "hpf"): "Pearson correlations of the series",
    ("FCcorr", "hpfgsr"): "Pearson correlations after global signal regression ({gsr})",
    ("FCpcorr", "hpf"): "partial correlations, from the inverse of the covariance matrix with a "
    "ridge penalty ({ridge})",
}


def describe_bold(described: Described) -> list[str]:
    """Paragraphs on functional connectomes, one for each way of cleaning; none without any."""
    cleaned = [
        (f, facts) for f, facts in described.list_sidecars("FC") if facts.text(CLEANING.denoising)
    ]
    paragraphs = [_describe_way(own) for own in group_alike(cleaned, WAY)]
    if paragraphs:
        paragraphs[-1] += _describe_amount(described)
    return paragraphs


def _describe_amount(described: Described) -> str:
    """Sentence on minutes and motion: of each session those of its first flavor."""
    firsts = [
        next((one for f, one in sorted(m.measurements.items()) if f.group == "FC"), None)
        for m in described.members
    ]
    known = [one for one in firsts if one is not None and one.effective_duration]
    minutes = [(one.effective_duration or 0) / 60 for one in known]
    moved = [one.mean_fd for one in known if one.mean_fd is not None]
    if not minutes:
        return ""
    text = f" The data that remained amount to {span(minutes, 'min')} per session"
    text += f" ({len(minutes)} sessions)" if len(minutes) > 1 else ""
    return text + (f"; mean framewise displacement was {span(moved, 'mm', 2)}." if moved else ".")


PIPELINES = {
    "HCP": "@glasser2013pipelines",
    "UK Biobank": "@alfaro2018biobank",
    "with ICA-FIX": "@salimi2014fix",
}
"""Works on pipelines, by words of the sidecar's ``Preprocessing``."""
WAY = (
    CLEANING.preprocessing,
    CLEANING.denoising,
    CLEANING.cleaned_by,
    CLEANING.high_pass,
    CLEANING.outlier_rule,
    CLEANING.fd_threshold,
    CLEANING.coverage_min,
)
"""Fields of a sidecar whose values make a paragraph of its own."""


def _describe_way(own: Sequence[tuple[Flavor, Facts]]) -> str:
    facts = own[0][1]
    runs = [run for _, one in own for run in one.parts(CLEANING.runs)]
    sentences = [
        _describe_source(facts),
        _describe_lesions(own),
        _describe_cleaning(facts),
        _describe_filter(facts),
        *_describe_volumes(facts, runs),
        _describe_joining(own),
        _describe_coverage(facts),
        _describe_measures(own),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _describe_source(facts: Facts) -> str:
    """Sentence on where the BOLD series come from, where that is not fMRIPrep."""
    origin = facts.text(CLEANING.preprocessing)
    keys = [key for word, key in PIPELINES.items() if word in origin]
    start = f"BOLD series came from {origin} [{'; '.join(keys)}]; their signals" if keys else ""
    return (
        f"{start or 'Signals of the preprocessed BOLD series'} were averaged over the voxels "
        "of each region"
    )


def _describe_lesions(own: Sequence[tuple[Flavor, Facts]]) -> str:
    """Sentence on voxels of lesions; nothing where there was no mask."""
    if not any(FUNCTIONAL.lesioned_regions in facts for _, facts in own):
        return ""
    return "Voxels inside lesion masks were part of no region and of no tissue mask"


def _describe_cleaning(facts: Facts) -> str:
    origin, strategy = facts.text(CLEANING.cleaned_by), facts.text(CLEANING.denoising)
    if origin and strategy == "none":
        return f"They had been cleaned by {_cite_cleaner(origin)} and were taken as they were"
    words = REGRESSED.get(strategy, f"Nuisance signals were regressed (strategy “{strategy}”)")
    if strategy == "fmriclean" and not facts.texts(CLEANING.tissue_regressors):
        words = words.replace(COMPUTED, READ)
    return f"They had been cleaned by {_cite_cleaner(origin)}. {words}" if origin else words


def _cite_cleaner(origin: str) -> str:
    works = {"xcp": "mehta2024xcpd", "fix": "salimi2014fix"}
    found = [key for word, key in works.items() if word in origin.casefold()]
    return origin + (f" [@{found[0]}]" if found else "")


def _describe_filter(facts: Facts) -> str:
    high_pass = facts.number(CLEANING.high_pass)
    if high_pass:
        return (
            f"The residuals were high-pass filtered at {high_pass:g} Hz by projection on discrete "
            "cosines, fitted to the volumes that count"
        )
    is_within = facts.text(CLEANING.denoising) in {"acompcor", *OF_NILEARN} or facts.text(
        CLEANING.cleaned_by
    )
    return "" if is_within else "No temporal filter was applied"


def _describe_volumes(facts: Facts, runs: Sequence[Facts]) -> list[str]:
    found, rule = [], facts.text(CLEANING.outlier_rule)
    dropped = [run.count(RUN.volumes_dropped) or 0 for run in runs]
    threshold = facts.number(CLEANING.fd_threshold)
    if any(dropped):
        number = span_counts(dropped)
        found.append(
            f"Of each run, the first {number} volumes, before the steady state, were discarded"
        )
    words = next((text for start, text in OUTLIERS.items() if rule.startswith(start)), "")
    found += [words.format(fd=f"{threshold or 0.5:g}")] if words else []
    if threshold is not None and "{fd}" not in words:
        found.append(
            f"Volumes with a framewise displacement above {threshold:g} mm were left out "
            "[@power2012motion]"
        )
    if not found:
        found.append("No volumes were left out")
    return found


def _describe_joining(own: Sequence[tuple[Flavor, Facts]]) -> str:
    several = any(len(facts.parts(CLEANING.runs)) > 1 for _, facts in own)
    return "The remaining volumes of each region were z-scored within each run" + (
        ", and runs were concatenated" if several else ""
    )


def _describe_coverage(facts: Facts) -> str:
    share = facts.number(CLEANING.coverage_min)
    if not share:
        return ""
    return (
        f"Regions of which less than {100 * share:g} % lay within the field of view and the "
        "brain mask and held signal were treated as missing"
    )


def _describe_measures(own: Sequence[tuple[Flavor, Facts]]) -> str:
    strategy = own[0][1].text(CLEANING.denoising)
    signals = {
        "fmriclean": "mean grey-matter signal and its derivative",
        "36p": "whole-brain signal, its derivative, and the squares of both",
    }
    words = {
        "gsr": signals.get(strategy, "whole-brain signal"),
        "ridge": _describe_ridge(own),
    }
    kinds = dict.fromkeys((flavor.measure, flavor.processing) for flavor, _ in own)
    texts = [MEASURES.get(kind, " ".join(kind)).format(**words) for kind in kinds]
    return f"Functional connectivity was measured as {join(texts)}"


def _describe_ridge(own: Sequence[tuple[Flavor, Facts]]) -> str:
    """Penalties of partial correlations, by atlas where they differ; some differ by session."""
    found: dict[str, set[float]] = {}
    for flavor, facts in own:
        value = facts.number(FUNCTIONAL.lambda_)
        if value is not None:
            found.setdefault(flavor.parcellation, set()).add(value)
    ridges = {
        name: "λ = " + " or ".join(f"{value:g}" for value in sorted(values))
        + " depending on the session" * (len(values) > 1)
        for name, values in found.items()
    }  # fmt: skip
    if len(set(ridges.values())) < 2:
        return next(iter(ridges.values()), "λ")
    return join(f"{words} for {name}" for name, words in ridges.items())
