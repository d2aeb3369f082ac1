"""A methods section made from what stands in OUTPUT_DIR, and its references."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from kraken_bids import __version__
from kraken_bids.cohort.failures import read_rows
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import ORIGIN, WRITER
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.report.boilerplate.bibliography import Work, list_cited, spell_citations
from kraken_bids.report.boilerplate.bold_text import describe_bold
from kraken_bids.report.boilerplate.community_text import describe_communities
from kraken_bids.report.boilerplate.prediction_text import (
    describe_calibration,
    describe_predictions,
)
from kraken_bids.report.boilerplate.sessions import Described, join, span_counts
from kraken_bids.report.boilerplate.tract_text import describe_tracts

SOFTWARE = {
    "fmriprep": "[@esteban2019fmriprep]",
    "qsiprep": "[@cieslak2021qsiprep]",
    "qsirecon": "[@cieslak2021qsiprep]",
    "xcp_d": "[@mehta2024xcpd]",
    "xcp-d": "[@mehta2024xcpd]",
    "hcp": "[@glasser2013pipelines]",
}
ATLASES = {
    "fs86": "fs86, 86 regions of the Desikan–Killiany cortex, deep grey matter and cerebellum in "
    "each person's FreeSurfer segmentation [@desikan2006parcellation; @fischl2002aseg]",
    "shen268": "shen268, 268 regions of the whole brain [@shen2013parcellation]",
    "coco439": "coco439, 439 regions: HCP-MMP1 cortex [@glasser2016parcellation], deep grey "
    "matter [@patenaude2011first], thalamic nuclei [@iglesias2018thalamus], further nuclei "
    "[@rolls2020aal3] and the SUIT cerebellum [@diedrichsen2009suit]",
    "cocoyeo243": "cocoyeo243, 243 regions: Schaefer–Yeo cortex [@schaefer2018parcellation], deep "
    "grey matter and the SUIT cerebellum [@diedrichsen2009suit]",
}


@dataclass(frozen=True)
class Boilerplate:
    """Paragraphs, each under its heading, and the works that they cite."""

    paragraphs: tuple[tuple[str, str], ...]
    """Heading, and text with ``[@key]`` where a work is cited."""

    @property
    def works(self) -> list[Work]:
        """Works cited, by author."""
        return list_cited(text for _, text in self.paragraphs)

    @property
    def spelled(self) -> list[tuple[str, str]]:
        """Heading and text, with authors and years."""
        return [(heading, spell_citations(text)) for heading, text in self.paragraphs]


def compose_boilerplate(
    output_dir: Path, members: Sequence[Member], *, is_of_everyone: bool
) -> Boilerplate:
    """Describe how the connectomes of some sessions came about.

    Parameters
    ----------
    is_of_everyone : bool
        Whether these are all, so that what the group level did, and who failed, belong to it.
    """
    described = Described(output_dir, tuple(members))
    sections = {
        "Software": _describe_software(described),
        "Functional connectomes": describe_bold(described),
        "Structural connectomes": describe_tracts(described),
        "Predicted connectomes": describe_predictions(described),
        "Calibration": describe_calibration(described),
    }
    if is_of_everyone:
        sections["Dynamic communities"] = describe_communities(output_dir)
        sections["What was left out"] = _describe_left_out(described)
    return Boilerplate(
        tuple((heading, text) for heading, texts in sections.items() for text in texts)
    )


def _describe_software(described: Described) -> list[str]:
    versions = {
        one.text(WRITER.software_version)
        for group in ("FC", "SC")
        for _, one in described.list_sidecars(group)
    }
    first = (
        "Connectomes were computed, and translated between structure and function, with "
        f"kraken_bids {join(sorted(versions - {''}) or [__version__])}, the BIDS App of the "
        "Krakencoder [@jamison2025krakencoder]."
    )
    inputs = _list_inputs(described)
    second = f" It read the outputs of {join(inputs)}." if inputs else ""
    atlases = [
        ATLASES.get(name, f"{name}, {described.count_regions(name)} regions of a custom atlas")
        for name in described.parcellations
    ]
    third = f" Connectomes have the regions of {'; '.join(atlases)}." if atlases else ""
    return [first + second + third]


def _list_inputs(described: Described) -> list[str]:
    """Software that the inputs come from, with its version where it can be told."""
    links = read_facts(described.output_dir / "dataset_description.json").part("DatasetLinks")
    names = dict.fromkeys(
        uri.split(":")[1]
        for group in ("FC", "SC")
        for _, facts in described.list_sidecars(group)
        for uri in facts.texts(ORIGIN.sources)
        if uri.startswith("bids:") and uri.count(":") > 1
    )
    return [
        _name_software(name, links.text(name)) for name in names if name not in {"", "atlases"}
    ]


def _name_software(name: str, link: str) -> str:
    folder = Path(unquote(urlparse(link).path)) if link.startswith("file:") else None
    written = Facts() if folder is None else read_facts(folder / "dataset_description.json")
    origins = written.parts("GeneratedBy")
    title = origins[0].text("Name") if origins else ""
    number = origins[0].text("Version") if origins else ""
    words = " ".join(filter(None, [title or name, number]))
    spelled = f"{name} {title}".casefold()
    cited = next((key for word, key in SOFTWARE.items() if word in spelled), "")
    return f"{words} {cited}".strip()


def _describe_left_out(described: Described) -> list[str]:
    missing: dict[str, dict[str, int]] = {}
    for member in described.members:
        for flavor, one in member.measurements.items():
            if one.n_missing_regions:
                what = f"{flavor.group} of {flavor.parcellation}"
                missing.setdefault(what, {})[member.label] = one.n_missing_regions
    sentences = [
        f"Of {what}, {span_counts(of_each.values())} region(s) were missing in {len(of_each)} "
        f"of {len(described.members)} sessions"
        for what, of_each in sorted(missing.items())
    ]
    rows = read_rows(described.output_dir / "logs" / "failures.tsv")
    stages: dict[str, set[str]] = {}
    for row in rows:
        stages.setdefault(row[2], set()).add(row[0])
    sentences += [
        f"{len(people)} participant(s) could not be processed (stage: {stage})"
        for stage, people in sorted(stages.items())
    ]
    return [" ".join(f"{sentence}." for sentence in sentences)] if sentences else []
