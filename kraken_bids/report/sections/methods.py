"""How the connectomes were computed, in words that can go into a paper."""

from kraken_bids.report.section import Section
from kraken_bids.report.written import Written


def describe_methods(written: Written) -> tuple[str, ...] | None:
    """Paragraphs on how connectomes were computed; None where nothing is known."""
    paragraphs = []
    for sidecar in written.measured.values():
        denoising, high_pass = sidecar.text("Denoising"), sidecar.number("HighPass")
        if not denoising or high_pass is None:
            continue
        before = sidecar.text("CleanedBy")
        filtered = f"high-pass filtered at {high_pass:g} Hz" if high_pass else "not filtered"
        cleaned = f"cleaned in one regression ({denoising}) and {filtered}"
        paragraphs.append(
            f"The BOLD series were cleaned by {before}; region means were taken of them as they "
            f"are{', ' + filtered if high_pass else ''}, and runs were z-scored and concatenated. "
            "Functional connectomes are Pearson correlations and ridge partial correlations."
            if before
            else f"Region means of the preprocessed BOLD series were {cleaned}; "
            "runs were z-scored and concatenated. Functional connectomes are Pearson "
            "correlations, with and without global signal regression, and ridge partial "
            "correlations."
        )
        break
    for sidecar in written.measured.values():
        radius, units = sidecar.number("SearchRadius"), sidecar.text("UnitsDescription")
        if "Streamlines" in sidecar and radius is not None:
            paragraphs.append(
                f"Streamline ends were given to the nearest region within {radius:g} mm; {units}."
            )
            break
    return tuple(paragraphs) or None


SECTION = Section("methods", "Methods", "methods.html", describe_methods)
