"""Connectomes of OUTPUT_DIR by what they are: measured, predicted from a source, calibrated."""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import (
    CALIBRATED,
    OUTPUT,
    PREDICTED,
    calibrated_archive_path,
    label_source,
    latents_path,
    prediction_archive_path,
    relmat_path,
)
from kraken_bids.cohort.measured_matrices import read_measured
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecars import is_of_run, read_digest
from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import Flavor, parse_meas, recognize_flavor
from kraken_bids.io.foreign_hdf5 import list_hdf5, read_dataset
from kraken_bids.io.tables import read_relmat

logger = logging.getLogger(__name__)

MEASURED = ""
ENDINGS = {PREDICTED: False, CALIBRATED: True}


@dataclass(frozen=True, order=True)
class Kind:
    """What a connectome of a session is."""

    flavor: Flavor
    source: str = MEASURED
    """What it was predicted from, letters and digits only; '' where it was measured."""
    is_calibrated: bool = False

    @property
    def what(self) -> str:
        """``measured``, ``predicted`` or ``calibrated``."""
        predicted = "calibrated" if self.is_calibrated else "predicted"
        return predicted if self.source else "measured"

    @property
    def entities(self) -> dict[str, str]:
        """BIDS entities that tell it from others of its session."""
        desc = self.source and self.source + (CALIBRATED if self.is_calibrated else PREDICTED)
        return {"atlas": self.flavor.parcellation, "meas": self.flavor.meas, "desc": desc}


def list_kinds(output_dir: Path, member: Member) -> list[Kind]:
    """List the connectomes of a session that its last run stands for.

    Predictions that other inputs, settings or another model had given are passed over.
    """
    measured = [Kind(flavor) for flavor in member.connectomes]
    return sorted(
        {*measured, *_list_tables(output_dir, member), *_list_archived(output_dir, member)}
    )


def list_predicted_sources(output_dir: Path, members: Iterable[Member]) -> set[str]:
    """List what predictions of the last runs were made from; one of each source is looked into."""
    found: set[str] = set()
    for member in members:
        for kind in _list_tables(output_dir, member, known=found):
            found.add(kind.source)
        if not found:
            try:
                found |= {kind.source for kind in _list_archived(output_dir, member)}
            except InputError as error:  # the next one's says the same
                logger.warning("passed over: %s", error)
    return found


def read_edges(output_dir: Path, member: Member, kind: Kind, n_edges: int) -> NDArray[np.float64]:
    """Read the edges [n_edges] of a connectome; NaN where a region was not seen.

    Raises
    ------
    InputError
        If the file cannot be read.
    ConnectomeError
        If it has another number of regions, or is no connectome.
    """
    if not kind.source:
        return read_measured(member.connectomes[kind.flavor], kind.flavor, n_edges).edges
    path = relmat_path(
        output_dir,
        member.entities,
        kind.flavor,
        source=kind.source,
        is_calibrated=kind.is_calibrated,
    )
    latents = latents_path(output_dir, member.subject, member.session)
    if path.exists() and is_of_run(path, read_digest(latents)):
        square = read_relmat(path)
    else:
        path = _archive_path(output_dir, member, is_calibrated=kind.is_calibrated)
        name = next(name for name, one in _list_archive(path) if one == (kind.source, kind.flavor))
        square = read_dataset(OUTPUT, path, name, dtype=np.float64)
    edges = np.asarray(square_to_edges(square), np.float64)
    if edges.size != n_edges or not np.isfinite(edges).all():
        raise ConnectomeError(
            f"{path}: expected {n_edges} finite edges of {kind.flavor}; found {edges.size}, "
            f"{int(np.isfinite(edges).sum())} of them finite. Predict again with --force."
        )
    return edges


def _list_tables(
    output_dir: Path, member: Member, *, known: Collection[str] = ()
) -> Iterator[Kind]:
    """Find the predicted tables of a session, but those from sources that are known."""
    latents = latents_path(output_dir, member.subject, member.session)
    if not latents.exists():
        return
    run = read_digest(latents)
    for path in latents.parent.glob(f"*/{member.label}_*_relmat.dense.tsv"):
        entities = parse_name(path)
        desc = entities.get("desc", "")
        ending = next((one for one in (CALIBRATED, PREDICTED) if desc.endswith(one)), None)
        if ending is None or desc.removesuffix(ending) in known:
            continue
        if not is_of_run(path, run):
            continue
        try:
            flavor = parse_meas(entities.get("meas", ""), entities.get("atlas", ""))
        except FlavorError:
            continue
        yield Kind(flavor, desc.removesuffix(ending), ENDINGS[ending])


def _list_archived(output_dir: Path, member: Member) -> Iterator[Kind]:
    latents = latents_path(output_dir, member.subject, member.session)
    if not latents.exists():
        return
    run = read_digest(latents)
    for is_calibrated in (False, True):
        path = _archive_path(output_dir, member, is_calibrated=is_calibrated)
        if path.exists() and is_of_run(path, run):
            for _, (source, flavor) in _list_archive(path):
                yield Kind(flavor, source, is_calibrated)


def _list_archive(path: Path) -> Iterator[tuple[str, tuple[str, Flavor]]]:
    """Name in an archive of each prediction, its source as in names of files, and its flavor."""
    for name in list_hdf5(OUTPUT, path, up_to=0):
        source, _, target = name.rpartition("/")
        flavor = recognize_flavor(target)
        if source and flavor is not None:
            yield name, (label_source(source), flavor)


def _archive_path(output_dir: Path, member: Member, *, is_calibrated: bool) -> Path:
    find = calibrated_archive_path if is_calibrated else prediction_archive_path
    return find(output_dir, member.subject, member.session)
