"""BOLD series that other software has cleaned: XCP-D, fMRIPost, FIX and the like."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kraken_bids import io
from kraken_bids.bids.datasets import XCP_D
from kraken_bids.bids.index import JOINED, SubjectFile

CLEANED = re.compile(
    r".*[Dd]enoised.*|residual"
    r"|(?:ica|ICA|hp\d+)?(?:(?:[Ff]ix(?:ed)?|FIX)(?:[Cc]lean(?:ed)?)?|[Cc]lean(?:ed)?)"
)
"""``desc`` of cleaned series: ``denoised`` and ``denoisedSmoothed`` of XCP-D, ``nonaggrDenoised``
of fMRIPost-AROMA, ``fix``, ``hp2000clean`` …"""
AROMA = "smoothAROMAnonaggr"
"""``desc`` of the BOLD series that fMRIPrep (up to 23.0) cleaned with ICA-AROMA."""
PREFERRED = ("denoised", "nonaggrDenoised", "orthaggrDenoised", "aggrDenoised")
"""Of several of one run, in this order; smoothed ones last."""
WITH_GSR = ("gsr_only", "27P", "36P", "acompcor_gsr", "aroma_gsr")
"""Sets of confounds of XCP-D that hold the global signal."""
WITHOUT_GSR = ("24P", "acompcor", "aroma", "none")
"""Those that do not."""


@dataclass(frozen=True)
class CleanedSource:
    """How a BOLD series was cleaned before it came here, as far as its files say."""

    software: str
    """Name and version; or the ``desc`` of the series."""
    words: tuple[str, ...]
    """What its sidecar says, for notes: confounds, filter, smoothing."""
    has_gsr: bool | None
    """Whether the global signal was regressed; None where nothing says so."""
    is_filtered: bool
    """Whether its sidecar names a temporal filter."""
    is_smoothed: bool = False
    motion: Path | None = None
    """Table with the framewise displacement of its volumes: XCP-D's, else fMRIPrep's confounds."""
    outliers: Path | None = None
    """XCP-D's table of the volumes that it cut out, or filled with guesses."""
    before: Path | None = None
    """Confounds of the dataset that it was made from, a row for each volume acquired."""

    def __str__(self) -> str:
        """Software, and what it did."""
        return f"{self.software} ({'; '.join(self.words)})" if self.words else self.software

    @property
    def files(self) -> tuple[Path, ...]:
        """Tables that are read beside the series."""
        every = (self.motion, self.outliers, self.before)
        return tuple(dict.fromkeys(path for path in every if path is not None))


def is_cleaned(entities: Mapping[str, str]) -> bool:
    """Whether the name of a BOLD series says that it is cleaned."""
    desc = entities.get("desc", "")
    return bool(desc) and CLEANED.fullmatch(desc) is not None


def rank_cleaned(entities: Mapping[str, str]) -> tuple[bool, int, str]:
    """Order of the cleaned series of one run: those of :data:`PREFERRED`, smoothed ones last."""
    desc = entities.get("desc", "")
    place = PREFERRED.index(desc) if desc in PREFERRED else len(PREFERRED)
    return "smooth" in desc.lower(), place, desc


def note_cleaned(sources: Sequence[CleanedSource]) -> list[str]:
    """Say how series were cleaned, and what follows from it for what is measured."""
    words = {
        True: "The global signal was regressed from it: connectomes with global signal "
        "regression are measured, the others not.",
        False: "The global signal was not regressed from it, nor is it here: connectomes with "
        "global signal regression are not measured.",
        None: "Nothing says whether the global signal was regressed from it (no *_design.tsv, no "
        "NuisanceParameters): it is taken as not regressed. Check it.",
    }
    notes = []
    if len({bool(source.has_gsr) for source in sources}) > 1:
        notes.append(
            "of some cleaned runs the global signal was regressed, of others not: such runs of "
            "one task are not joined, and nothing is measured of them. Leave one kind out with "
            "--exclude-runs."
        )
    for source in sources:
        notes.append(
            f"BOLD was cleaned by {source}: --denoise none is implied, nothing is regressed or "
            f"filtered here. {words[source.has_gsr]}"
        )
        if not source.is_filtered:
            notes.append(
                f"no sidecar names a temporal filter of {source.software}: where there was none, "
                "slow drifts remain; --high-pass 0.01 removes them."
            )
        if source.is_smoothed:
            notes.append(
                "the cleaned BOLD is smoothed: neighbouring regions share signal, and their "
                "correlations are higher than those that the model knows."
            )
    return list(dict.fromkeys(notes))


def drop_concatenated(series: Sequence[SubjectFile]) -> tuple[list[SubjectFile], list[str]]:
    """Leave out what XCP-D joined of runs that are there too, or a run would count twice.

    Returns
    -------
    kept : list of SubjectFile
    notes : list of str
        What was left out.

    Source
    ------
    XCP-D ``--combine-runs``: the name of the joined series lacks ``run`` and ``dir``.
    """
    with_runs = {
        (f.dataset, f.version_key) for f in series if any(key in f.entities for key in JOINED)
    }
    left = {
        file.path
        for file in series
        if file.dataset.pipeline == XCP_D
        and not any(key in file.entities for key in JOINED)
        and (file.dataset, file.version_key) in with_runs
    }
    notes = [
        f"{path.name} is left out: XCP-D joined in it the runs that are there too."
        for path in left
    ]
    return [file for file in series if file.path not in left], sorted(notes)


def describe_cleaned(
    bold: SubjectFile, beside: Sequence[SubjectFile], metadata: Mapping[str, Any]
) -> CleanedSource:
    """Say how a cleaned series was made.

    Parameters
    ----------
    beside : sequence of SubjectFile
        Files of its session in any dataset, among which are its tables.
    metadata : mapping
        Its sidecar.

    Raises
    ------
    InputError
        If the table of its confounds cannot be read.
    """
    same = [f for f in beside if f.run_key == bold.run_key and f.entities["extension"] == ".tsv"]
    own = [f for f in same if f.path.parent == bold.path.parent]
    # the software that cleaned also writes a table of confounds, without motion
    elsewhere = [f for f in same if f.is_called(suffix="timeseries", desc="confounds")]
    elsewhere.sort(key=lambda f: f.dataset == bold.dataset)
    motion = _first(own, "motion") or (elsewhere[0].path if elsewhere else None)
    before = next((f.path for f in elsewhere if f.dataset != bold.dataset), None)
    parameters = metadata.get("NuisanceParameters", metadata.get("nuisance parameters"))
    band = _read_band(metadata)
    dataset = bold.dataset
    return CleanedSource(
        software=f"{dataset.pipeline} {dataset.version}".strip()
        or f"desc-{bold.entities.get('desc', '')}",
        words=tuple(
            filter(
                None,
                (
                    f"confounds {parameters}" if isinstance(parameters, str) else "",
                    band,
                    f"smoothed with FWHM {metadata['FWHM']} mm" if "FWHM" in metadata else "",
                ),
            )
        ),
        has_gsr=_find_gsr(_first(own, "design"), parameters, is_xcp_d=dataset.pipeline == XCP_D),
        is_filtered=bool(band),
        is_smoothed="FWHM" in metadata or "smooth" in bold.entities.get("desc", "").lower(),
        motion=motion,
        outliers=_first(own, "outliers"),
        before=before,
    )


def _first(files: Sequence[SubjectFile], suffix: str) -> Path | None:
    found = [f for f in files if f.is_called(suffix=suffix)]
    # of XCP-D up to 0.9, desc-filtered may lie beside the plain one
    return min(found, key=lambda f: f.entities.get("desc", "")).path if found else None


def _read_band(metadata: Mapping[str, Any]) -> str:
    """Words on the temporal filter that a sidecar of XCP-D names; '' where it names none."""
    filters = metadata.get("SoftwareFilters")
    if not isinstance(filters, Mapping):
        return ""
    high = filters.get("High-pass filter")
    if isinstance(high, Mapping) and "cutoff (Hz)" in high:
        return f"high-pass from {high['cutoff (Hz)']} Hz"
    band = filters.get("Bandpass filter")
    if not isinstance(band, Mapping):
        return ""
    cutoffs = [
        f"{word} {band[key]} Hz"
        for word, key in (("from", "High-pass cutoff (Hz)"), ("to", "Low-pass cutoff (Hz)"))
        if key in band
    ]
    return f"band-pass {' '.join(cutoffs)}".strip()


def _find_gsr(design: Path | None, parameters: object, *, is_xcp_d: bool) -> bool | None:
    """Whether the global signal is among the confounds, by their table or the name of the set.

    A table that is empty, or was not downloaded, says nothing.
    """
    names = io.tables.read_header(design) if design else ()
    if parameters in WITH_GSR or any(name.startswith("global_signal") for name in names):
        return True
    if names or parameters in WITHOUT_GSR:
        return False
    return None if is_xcp_d else False
