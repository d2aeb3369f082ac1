"""Whether OUTPUT_DIR is as the last run left it: hashes of all files, and a sample of numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import label_source, latents_path, sidecar_path
from kraken_bids.cohort.decoded_sessions import list_decoded_members
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.latent_tables import read_latent_tables
from kraken_bids.cohort.manifests import (
    CHANGED,
    GROUP,
    MISSING,
    UNREADABLE,
    Finding,
    compare_files,
    list_pages,
    list_recorded,
    manifest_path,
    read_manifest,
)
from kraken_bids.cohort.measurements import FUNCTIONAL
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.output_connectomes import Kind, list_kinds, read_edges
from kraken_bids.cohort.sidecar_records import INPUT_SOURCES, MODEL
from kraken_bids.connectome.functional.correlations import (
    PARTIAL_CORRELATION,
    compute_partial_correlation,
)
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.exceptions import InputError, KrakenBidsError, name_few
from kraken_bids.flavors import Flavor, recognize_flavor
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.toml_files import read_toml
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.repeated_scans import correlate_series, find_series

TOLERANCE = 1e-5
"""Of the largest value: tables hold six digits, a GPU's sums differ in the seventh."""


@dataclass(frozen=True)
class Recomputed:
    """One connectome that was computed again from files of OUTPUT_DIR."""

    session: str
    """Label of the session."""
    what: str
    """``fusion -> FLAVOR``, or a measured flavor."""
    difference: float
    """Largest difference of an edge, as a share of the largest value."""

    @property
    def is_same(self) -> bool:
        """Whether it is what the file holds."""
        return self.difference <= TOLERANCE


@dataclass
class Verification:
    """What was compared, and what was found."""

    n_files: int = 0
    """Files whose hash was compared."""
    findings: list[Finding] = field(default_factory=list)
    recomputed: list[Recomputed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Why numbers were not computed again."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing differs."""
        return not self.findings and all(one.is_same for one in self.recomputed)

    def list_lines(self) -> Iterator[str]:
        """List what was found, a line for each file and each number that differs."""
        for finding in self.findings:
            yield f"{finding.what}: {finding.path}"
        for one in self.recomputed:
            if not one.is_same:
                yield (
                    f"differs: {one.session}, {one.what}: computed again it differs by "
                    f"{one.difference:.2g} of the largest value (up to {TOLERANCE:g} is rounding)"
                )
        yield from (f"note: {text}" for text in self.notes)
        n_same = sum(one.is_same for one in self.recomputed)
        yield (
            f"{self.n_files} files compared, {len(self.findings)} not as recorded; "
            f"{len(self.recomputed)} connectomes computed again, {n_same} the same"
        )


def verify_outputs(
    output_dir: Path, *, n_sampled: int = 3, model: str = "", seed: int = 0
) -> Verification:
    """Compare all files with the hashes that runs recorded, and recompute numbers of a sample.

    Of each sampled session predicted connectomes are decoded again from its latents, and
    functional ones correlated again from its cleaned series.

    Parameters
    ----------
    n_sampled : int
        Sessions whose numbers are computed again; 0: none.
    model : str
        As ``--model`` takes it; '': the one of the last run, as its settings name it.
    seed : int
        Of the sample.

    Raises
    ------
    InputError
        If the folder is not there, or no run has recorded anything in it.
    """
    if not output_dir.is_dir():
        raise InputError(
            f"expected OUTPUT_DIR of kraken-bids; found no folder {output_dir}. Check the path."
        )
    subjects = list_recorded(output_dir)
    if not any(manifest_path(output_dir, subject).is_file() for subject in subjects):
        raise InputError(
            f"expected hashes that a run recorded (logs/sub-*_files.tsv) in {output_dir}; found "
            "none. An older version made these files, or no run has ended there: run "
            "kraken-bids on it again, which keeps what is done."
        )
    found = Verification()
    pages = list_pages(output_dir)
    for subject in subjects:
        _compare(output_dir, subject, pages.get(subject, ()), found)
    if n_sampled:
        _recompute(output_dir, found, n_sampled=n_sampled, model=model, seed=seed)
    return found


def _compare(output_dir: Path, subject: str, pages: Sequence[str], found: Verification) -> None:
    path = manifest_path(output_dir, subject)
    is_recorded = path.is_file()
    if subject == GROUP and not is_recorded:
        return  # participants alone have run; what lies at the root is theirs together
    try:
        own = compare_files(output_dir, subject, pages)
        n_recorded = len(read_manifest(path)) if is_recorded else 0
    except InputError as error:
        found.notes.append(str(error))
        found.findings.append(Finding(path.relative_to(output_dir).as_posix(), CHANGED))
        return
    except OSError as error:  # a closed folder
        found.notes.append(str(error))
        found.findings.append(Finding(f"sub-{subject}" if subject else "group", UNREADABLE))
        return
    found.findings += own
    found.n_files += n_recorded - sum(one.what == MISSING for one in own)


def _recompute(
    output_dir: Path, found: Verification, *, n_sampled: int, model: str, seed: int
) -> None:
    members = list_members(output_dir)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(members), min(n_sampled, len(members)), replace=False)
    sample = [members[k] for k in sorted(drawn.tolist())]
    if list_decoded_members(output_dir):
        found.notes.append(
            "decoded volumes were compared by their hashes alone: the BOLD that they follow from "
            "is not in the folder"
        )
    loaded = None
    if any(latents_path(output_dir, one.subject, one.session).exists() for one in sample):
        loaded = _find_and_load(output_dir, model, found)
    for member in sample:
        for recompute in (_recompute_predicted, _recompute_measured):
            try:
                found.recomputed += recompute(output_dir, member, loaded)
            except (KrakenBidsError, OSError) as error:
                found.notes.append(f"{member.label}: {error}")


def _find_and_load(output_dir: Path, model: str, found: Verification) -> Model | None:
    """Load the model that is asked for, else that of the last run; what hinders is noted."""
    try:
        name = model or find_model(output_dir)
    except InputError as error:
        found.notes.append(f"predictions were not computed again: {error} Give --model.")
        return None
    return _load(output_dir, name, found)


def find_model(output_dir: Path) -> str:
    """Find the model of the last run, as the settings in ``logs/`` name it; '' if none does."""
    for path in sorted((output_dir / "logs").glob("*.toml"), reverse=True):
        name = read_toml(path).get("model")
        if isinstance(name, str):
            return name
    return ""


def _load(output_dir: Path, name: str, found: Verification) -> Model | None:
    """Load the model; None where it is not at hand, which is noted."""
    if not name:
        found.notes.append(
            f"predictions were not computed again: no settings in {output_dir / 'logs'} name "
            "their model. Give --model."
        )
        return None
    try:
        return load_model(name, device="cpu")
    except (KrakenBidsError, OSError) as error:
        found.notes.append(f"predictions were not computed again: {error}")
        return None


def _recompute_predicted(
    output_dir: Path, member: Member, model: Model | None
) -> Iterator[Recomputed]:
    """Decode again what raw predictions a session has."""
    path = latents_path(output_dir, member.subject, member.session)
    if model is None or not path.exists():
        return
    used = {one.text(MODEL.model_sha256) for one in _list_sources(path)}
    if used != {model.sha256}:
        raise InputError(
            f"its predictions are of another model (SHA-256 {name_few(sorted(used))}) than "
            f"{model.name} ({model.sha256}) and were not computed again. Give --model."
        )
    _, latents = read_latent_tables(path)
    named = {label_source(name): name for name in latents}
    for kind in list_kinds(output_dir, member):
        source = named.get(kind.source)
        if kind.what != "predicted" or source is None or not _is_plain(model, source):
            continue
        stored = read_edges(output_dir, member, kind, model.n_edges(kind.flavor))
        again = model.decode(kind.flavor, latents[source], source=_as_flavor(model, source))[0]
        yield _compare_edges(member, f"{source} -> {kind.flavor}", stored, again)


def _list_sources(path: Path) -> Sequence[Facts]:
    return list(read_facts(sidecar_path(path)).part(INPUT_SOURCES).by_name().values())


def _is_plain(model: Model, source: str) -> bool:
    """Whether a source's one latent is decoded to every target."""
    return _as_flavor(model, source) is not None or not model.network.architecture.group_paths


def _as_flavor(model: Model, source: str) -> Flavor | None:
    flavor = recognize_flavor(source)
    return flavor if flavor in model.reductions else None


def _recompute_measured(
    output_dir: Path, member: Member, _model: Model | None
) -> Iterator[Recomputed]:
    """Correlate again the cleaned series that a session's functional connectomes are of."""
    for flavor, path in sorted(member.connectomes.items()):
        files = find_series(path, flavor)
        if not files:
            continue
        square = correlate_series(files)
        if flavor.measure == PARTIAL_CORRELATION:
            ridge = read_facts(sidecar_path(path)).number(FUNCTIONAL.lambda_)
            if ridge is None:
                continue
            square = compute_partial_correlation(square, ridge=ridge)
        again = square_to_edges(square)
        stored = read_edges(output_dir, member, Kind(flavor), again.size)
        yield _compare_edges(member, flavor.name, stored, again)


def _compare_edges(
    member: Member, what: str, stored: NDArray[np.floating], again: NDArray[np.floating]
) -> Recomputed:
    """Compare edges; those that both lack, of a region without data, are the same."""
    known = ~np.isnan(stored)
    if not np.array_equal(known, ~np.isnan(again)):
        return Recomputed(member.label, what, np.inf)
    scale = max(float(np.abs(stored[known]).max(initial=0)), 1e-12)
    difference = float(np.abs(stored - again)[known].max(initial=0))
    return Recomputed(member.label, what, difference / scale)
