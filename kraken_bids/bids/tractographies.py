"""Tractograms of one session, their weights, and the label images in or carried to their space."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kraken_bids import io
from kraken_bids.bids.anatomy import QSI, add_anatomy
from kraken_bids.bids.index import Search, SubjectFile
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.preprocessed_bold import explain_misnamed
from kraken_bids.bids.query import fill_template
from kraken_bids.bids.tractogram_labels import find_tract_labels
from kraken_bids.exceptions import InputError
from kraken_bids.io.tractogram_formats import FORMATS, OTHER_FORMATS, explain_conversion
from kraken_bids.parcellations import Parcellation

Algorithm = Literal["ifod2", "sdstream"]
ALGORITHMS: Mapping[Algorithm, re.Pattern[str]] = {
    "ifod2": re.compile(r"ifod2", re.IGNORECASE),
    "sdstream": re.compile(r"sd_?stream", re.IGNORECASE),
}
SUFFIXES = ("streamlines", "tractogram", "tractography", "tracks", "ifod2", "sdstream")
"""QSIRecon; MRtrix3_connectome and BEP046; micapipe and QSIPrep; people's own; QSIPrep up to 0.1x
(last two)."""
ONE_BUNDLE = ("bundle", "tract")
"""Entities of a file that holds one bundle, which is no tractogram of the brain."""
TEXTS = (".csv", ".txt", ".tsv")
NOT_SHARED = ("space", "model", "desc", "track", "suffix", "extension", "datatype")
"""Entities in which a tractogram and its weights may differ."""


@dataclass(frozen=True)
class Tractography:
    """One tractogram with what is needed to make connectomes of it."""

    entities: Mapping[str, str]
    algorithm: Algorithm
    tracks: Path
    weights: Path | None
    """File of the SIFT2 weights, one per streamline; the tractogram itself where it is a ``.trx``
    that holds them."""
    mu: Path | None
    """SIFT2's proportionality coefficient."""
    space: str
    """``T1w`` (fMRIPrep's), ``ACPC`` (QSIPrep's) or as spelled; '' where the name does not say."""
    labels: Mapping[str, LabelImage]
    """Parcellation to its label image, in this space or with the transforms that lead there."""


@dataclass(frozen=True)
class StructuralInputs:
    """What was found for structure in one session."""

    tractographies: tuple[Tractography, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Tracks:
    path: Path
    entities: Mapping[str, str]
    file: SubjectFile | None
    """As found in a dataset; None where the user gave the path."""
    weights: Path | None = None
    notes: list[str] = field(default_factory=list)


def is_tractogram(file: SubjectFile) -> bool:
    """Whether a file is named like a tractogram of the whole brain, of any format."""
    return (
        file.entities["suffix"].lower() in SUFFIXES
        and file.entities["extension"].endswith((*FORMATS, *OTHER_FORMATS))
        and not any(key in file.entities for key in ONE_BUNDLE)
    )


def find_structural_inputs(
    search: Search, parcellations: Sequence[Parcellation]
) -> StructuralInputs:
    """Tractograms of a session by algorithm, each with the parcellations that reach its space.

    Raises
    ------
    InputError
        If two of one algorithm fit, one bears another subject's name, or a given path is unusable.
    """
    notes: list[str] = []
    explicit = bool(search.explicit.tractograms)
    tracks = _list_explicit(search, notes) if explicit else _list_found(search, notes)
    by_algorithm: dict[Algorithm, _Tracks] = {}
    for one in tracks:
        algorithm = _find_algorithm(one.path)
        if algorithm is None:
            notes.append(
                f"{one.path} is passed over: neither its name nor its header says iFOD2 or "
                "SD_STREAM, the two algorithms that the flavors know."
            )
        elif algorithm in by_algorithm:
            raise InputError(
                f"expected one {algorithm} tractogram of sub-{search.subject}; found "
                f"{by_algorithm[algorithm].path} and {one.path}. Choose with --bids-filter-file "
                '({"tractogram": {"desc": …}}) or --tractogram.'
            )
        else:
            by_algorithm[algorithm] = one
    found = []
    for algorithm, one in by_algorithm.items():
        dataset = one.file.dataset if one.file and one.file.dataset.pipeline not in QSI else None
        local, remarks = add_anatomy(search, dataset)
        tracts = _describe(algorithm, one, local, parcellations, notes=notes)
        found.append(tracts)
        # only where labels came from there, or should have
        used = {path for image in tracts.labels.values() for path in image.files}
        is_whole = len(tracts.labels) == len(parcellations)
        notes += remarks if used & {f.path for f in local.anatomy} or not is_whole else []
    return StructuralInputs(tuple(t for t in found if t.labels), tuple(dict.fromkeys(notes)))


def _list_found(search: Search, notes: list[str]) -> list[_Tracks]:
    named, misnamed = (
        [
            f
            for f in files
            if f.session == search.session
            and is_tractogram(f)
            and search.query.accepts("tractogram", f.entities)
        ]
        for files in (search.files, search.misnamed)
    )
    if misnamed:
        raise InputError(explain_misnamed([f.path for f in misnamed], search.label))
    notes += [
        f"{f.path} is passed over: only {', '.join(FORMATS)} are read. "
        f"{explain_conversion(f.path)}"
        for f in named
        if not f.entities["extension"].endswith(FORMATS)
    ]
    return [
        _Tracks(f.path, f.entities, f) for f in named if f.entities["extension"].endswith(FORMATS)
    ]


def _list_explicit(search: Search, notes: list[str]) -> list[_Tracks]:
    """Tractograms at the user's paths; a subject without them has only its function."""
    templates = search.explicit.weights
    weights = [fill_template(t, search.subject, search.session) for t in templates]
    if weights and len(weights) != len(search.explicit.tractograms):
        raise InputError(
            f"expected one --tractogram-weights per --tractogram, in the same order; found "
            f"{len(weights)} and {len(search.explicit.tractograms)}."
        )
    tracks = []
    for i, template in enumerate(search.explicit.tractograms):
        path = fill_template(template, search.subject, search.session)
        if not path.exists():
            notes.append(f"no tractogram at {path} (--tractogram {template}).")
            continue
        if weights and not weights[i].is_file():
            raise InputError(
                f"expected the weights of {path} at {weights[i]} (--tractogram-weights); nothing "
                "is there. Check the path."
            )
        file = next((f for f in search.files if f.path.resolve() == path.resolve()), None)
        entities = file.entities if file else parse_name(path)
        tracks.append(_Tracks(path, entities, file, weights[i] if weights else None))
    return tracks


def _find_algorithm(path: Path) -> Algorithm | None:
    """Algorithm by name, else by ``method`` in the header."""
    named = _match_algorithm(path.name)
    return named or _match_algorithm(io.tractograms.open_tractogram(path).header.get("method", ""))


def _match_algorithm(text: str) -> Algorithm | None:
    return next((name for name, pattern in ALGORITHMS.items() if pattern.search(text)), None)


def _describe(
    algorithm: Algorithm,
    tracks: _Tracks,
    search: Search,
    parcellations: Sequence[Parcellation],
    *,
    notes: list[str],
) -> Tractography:
    weights = tracks.weights or _find_weights(tracks, algorithm, notes)
    space = _find_space(tracks)
    labels = {}
    for parcellation in parcellations:
        image, remark = find_tract_labels(parcellation, search, tracks.file, space=space)
        if remark:
            notes.append(remark)
        if image:
            labels[parcellation.name] = image
    left_out = {"sub", "ses", "suffix", "extension", "datatype"}
    return Tractography(
        entities=search.names | {k: v for k, v in tracks.entities.items() if k not in left_out},
        algorithm=algorithm,
        tracks=tracks.path,
        weights=weights,
        mu=_find_beside(tracks, algorithm, "mu", notes=notes),
        space=space,
        labels=labels,
    )


def _find_space(tracks: _Tracks) -> str:
    """Space of a tractogram; QSIPrep turns the head to AC-PC and has called this T1w as well."""
    space = full_space(tracks.entities)
    pipeline = tracks.file.dataset.pipeline if tracks.file else ""
    return "ACPC" if space == "T1wACPC" or (space == "T1w" and pipeline in QSI) else space


def _find_weights(tracks: _Tracks, algorithm: Algorithm, notes: list[str]) -> Path | None:
    """Weights beside a tractogram, else those that a ``.trx`` holds."""
    beside = _find_beside(tracks, algorithm, "weights", notes=notes)
    if beside is None and tracks.path.name.lower().endswith(".trx"):
        return tracks.path if io.trx.open_trx(tracks.path).weights_name else None
    return beside


def _find_beside(
    tracks: _Tracks, algorithm: Algorithm, kind: str, *, notes: list[str]
) -> Path | None:
    """Weights or mu in the folder of a tractogram; of another algorithm's they must say so."""
    folder = tracks.path.parent
    # MRtrix3_connectome puts mu there
    places = [place for place in (folder, folder.parent / "connectome") if place.is_dir()]
    files = sorted(p for place in dict.fromkeys(places) for p in place.iterdir())
    names = [p for p in files if p.name.endswith(TEXTS) and kind in p.name.lower()]
    fitting = [p for p in names if _shares_entities(p, tracks) and _is_kind(p, kind)]
    named = [p for p in fitting if _match_algorithm(p.name) == algorithm]
    nameless = [p for p in fitting if _match_algorithm(p.name) is None]
    n_tracks = sum(
        1 for p in folder.iterdir() if p.name.endswith(FORMATS) and _shares_entities(p, tracks)
    )
    chosen = named or (nameless if n_tracks == 1 else [])
    if len(chosen) == 1:
        return chosen[0]
    if kind == "weights" and (chosen or nameless):
        listed = ", ".join(p.name for p in chosen or nameless)
        notes.append(
            f"SIFT2 weights of {tracks.path.name} are not used: which of {listed} belongs to it "
            "cannot be told. Name them with --tractogram and --tractogram-weights."
        )
    return None


def _is_kind(path: Path, kind: str) -> bool:
    return kind == "weights" or parse_name(path)["suffix"].lower() == kind


def _shares_entities(path: Path, tracks: _Tracks) -> bool:
    """Whether no entity that both names have differs, but those that tell derived files apart."""
    other = parse_name(path)
    return all(
        other[key] == value
        for key, value in tracks.entities.items()
        if key in other and key not in NOT_SHARED
    )
