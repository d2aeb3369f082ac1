"""How structural connectomes were computed, as a methods section says it."""

from kraken_bids.cohort.measurements import STRUCTURAL
from kraken_bids.io.facts import Facts
from kraken_bids.report.boilerplate.sessions import Described, join, span

ALGORITHMS = {
    "ifod2": "the probabilistic algorithm iFOD2 [@tournier2010ifod2]",
    "sdstream": "the deterministic algorithm SD_STREAM [@tournier2012mrtrix]",
}
METRICS = {
    "count": "the number of streamlines between two regions",
    "volnorm": "the number of streamlines divided by the mean volume of the two regions",
    "sift2": "the sum of SIFT2 weights [@smith2015sift2] of the streamlines",
    "sift2volnorm": "the sum of SIFT2 weights [@smith2015sift2] divided by the mean volume of the "
    "two regions",
    "meanlength": "the mean length of the streamlines",
    "invlength": "the sum of the inverse lengths of the streamlines",
}
UNITS = {
    "krakencoder": "Numbers of streamlines were scaled to tractograms of 5 million, and volumes "
    "expressed in voxels of 1.25 mm, the units of the model's training data",
    "mrtrix": "Volumes are numbers of voxels of the label image, and numbers of streamlines are "
    "as found",
}


def describe_tracts(described: Described) -> list[str]:
    """Paragraph on structural connectomes; none without any."""
    found = described.list_sidecars("SC")
    facts = [one for _, one in found if one.text(STRUCTURAL.tractography_algorithm)]
    if not facts:
        return []
    numbers = [
        float(one.n_streamlines)
        for member in described.members
        for flavor, one in sorted(member.measurements.items())
        if flavor.group == "SC" and one.n_streamlines
    ]
    algorithms = [
        ALGORITHMS.get(n := one.text(STRUCTURAL.tractography_algorithm), n) for one in facts
    ]
    size = f", with {span(numbers, 'streamlines each')}" if numbers else ""
    processings = dict.fromkeys(flavor.processing for flavor, _ in found)
    sentences = [
        f"Whole-brain tractograms had been generated with {join(algorithms)}{size}",
        _describe_assignment(facts),
        "Structural connectivity was measured as "
        + join(METRICS.get(name, name) for name in processings),
        *dict.fromkeys(UNITS.get(one.text(STRUCTURAL.units), "") for one in facts),
    ]
    return [" ".join(f"{sentence}." for sentence in sentences if sentence)]


def _describe_assignment(facts: list[Facts]) -> str:
    radii = dict.fromkeys(
        f"{radius:g} mm"
        for one in facts
        if (radius := one.number(STRUCTURAL.search_radius)) is not None
    )
    within = f" within {join(radii)}" if radii else ""
    return (
        "Each end of a streamline was assigned to the region of the nearest labelled "
        f"voxel{within}, as by MRtrix3's tck2connectome [@tournier2019mrtrix3], and streamlines "
        "with two assigned ends were counted"
    )
