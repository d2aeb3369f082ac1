"""QC-FC of the group: how strongly each functional flavor follows head motion over subjects."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import (
    group_path,
    labels_path,
    region_table_path,
)
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.recalled_matrices import recall_relmat
from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.connectome.matrices import fold_square
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_table
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.images import read_labels
from kraken_bids.io.records import remove_records, write_records
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.check.kept_results import Kept, Plain, digest_file
from kraken_bids.scores.motion_dependence import (
    MIN_PEOPLE,
    MotionDependence,
    QcFc,
    correlate_with_motion,
    distance_dependence,
    edge_distances,
    region_centroids,
)

logger = logging.getLogger(__name__)

TABLE, EDGES = "qcfc.tsv", "qcfc.h5"
EDGE_VALUES = ("r", "distance")


def write_qcfc(output_dir: Path, members: Sequence[Member], *, anew: bool = False) -> None:
    """Correlate every functional flavor with head motion and write ``group/qcfc.tsv``.

    With fewer than 10 subjects nothing is written, that of an earlier run is taken away, and the
    log says so. Edges themselves go into ``qcfc.h5``, for the report.

    Parameters
    ----------
    anew : bool, optional
        Whether connectomes are correlated again that have been with the same motion.
    """
    kept = Kept(group_path(output_dir, ""), anew=anew)
    flavors = sorted({f for member in members for f in member.connectomes if f.group == "FC"})
    motion = {flavor: _read_motion(members, flavor) for flavor in flavors}
    _say_short(motion)
    enough = {flavor: own for flavor, own in motion.items() if own.n_people >= MIN_PEOPLE}
    found = [
        one for flavor, own in enough.items() if (one := _measure(output_dir, flavor, own, kept))
    ]
    table, edges = group_path(output_dir, TABLE), group_path(output_dir, EDGES)
    if not found:
        remove_records(table)
        edges.unlink(missing_ok=True)
        return
    write_records(
        table,
        [QcFc],
        [[one] for one in found],
        description="Dependence of functional connectomes on head motion over people (QC-FC)",
    )
    with write_hdf5(edges) as file:
        for one in found:
            group = file.create_group(one.flavor)
            for name in EDGE_VALUES:
                group.create_dataset(name, data=getattr(one, name).astype(np.float32))


@dataclass(frozen=True)
class _Motion:
    """Head motion of the sessions that have a flavor and where it is known."""

    paths: list[Path]
    """Their connectomes."""
    mean_fd: list[float]
    """Mean framewise displacement, mm."""
    people: list[str]
    """Whose session each is."""

    @property
    def n_people(self) -> int:
        return len(set(self.people))


def _read_motion(members: Sequence[Member], flavor: Flavor) -> _Motion:
    found = _Motion([], [], [])
    for member in members:
        path = member.connectomes.get(flavor)
        mean_fd = None if path is None else member.measurements[flavor].mean_fd
        if path is not None and mean_fd is not None:
            found.paths.append(path)
            found.mean_fd.append(mean_fd)
            found.people.append(member.subject)
    return found


def _say_short(motion: Mapping[Flavor, _Motion]) -> None:
    short = {f.name: own.n_people for f, own in motion.items() if own.n_people < MIN_PEOPLE}
    if short:
        names = ", ".join(short) if len(short) < len(motion) else "any flavor"
        logger.info(
            "no QC-FC of %s: it needs %d people with known head motion; %d have it",
            names,
            MIN_PEOPLE,
            max(short.values()),
        )


def _measure(output_dir: Path, flavor: Flavor, motion: _Motion, kept: Kept) -> QcFc | None:
    files = [
        (path.relative_to(output_dir).as_posix(), digest_file(path), value)
        for path, value in zip(motion.paths, motion.mean_fd, strict=True)
    ]
    broken: list[str] = []
    try:
        n_regions = _count_regions(output_dir, flavor.parcellation)
        found = kept.recall(
            f"qcfc_{flavor.name}",
            [n_regions, files, motion.people],
            lambda: _correlate(motion, n_regions, broken),
        )
        for text in () if broken else found["broken"]:
            logger.warning("left out of QC-FC: %s", text)
        dependence = MotionDependence(
            np.array(found["r"], np.float64), np.array(found["p"], np.float64), motion.n_people
        )
        centroids = find_centroids(output_dir, flavor.parcellation, motion.paths[0], n_regions)
    except (ConnectomeError, InputError) as error:
        logger.warning("no QC-FC of %s: %s", flavor.name, error)
        return None
    distances = edge_distances(centroids)
    return QcFc(
        flavor=flavor.name,
        n_sessions=len(motion.paths),
        n_people=dependence.n_people,
        n_edges=int(np.isfinite(dependence.correlation).sum()),
        median_abs_r=round(dependence.median_absolute, 5),
        chance_abs_r=round(dependence.chance_absolute, 5),
        share_p05=round(dependence.share_uncorrected, 5),
        share_fdr05=round(dependence.share_corrected, 5),
        distance_rho=round(distance_dependence(dependence, distances), 5),
        r=dependence.correlation,
        distance=distances,
    )


def _correlate(motion: _Motion, n_regions: int, broken: list[str]) -> Plain:
    """Correlations with motion and their p as plain values, and what is said of broken files."""
    edges = _read_edges(motion.paths, n_regions, broken)
    found = correlate_with_motion(edges, np.array(motion.mean_fd), motion.people)
    return {"r": found.correlation.tolist(), "p": found.p_value.tolist(), "broken": broken}


def _read_edges(
    paths: Sequence[Path], n_regions: int, broken: list[str]
) -> Iterator[NDArray[np.float64]]:
    """Edges of every file [n_edges]; NaN for one that is broken, which is said and noted."""
    n_edges = n_regions * (n_regions - 1) // 2
    for path in paths:
        try:
            edges, _ = fold_square(recall_relmat(path), str(path))
        except (InputError, ConnectomeError) as error:
            logger.warning("left out of QC-FC: %s", error)
            broken.append(str(error))
            edges = np.empty(0)
        if len(edges) != n_edges:
            edges = np.full(n_edges, np.nan)
        yield np.asarray(edges, np.float64)


def _count_regions(output_dir: Path, parcellation: str) -> int:
    if parcellation in list_parcellations():
        return load_parcellation(parcellation).n_regions
    table = region_table_path(output_dir, parcellation)
    return len(read_table(table, numbers=("index",))["index"])


def find_centroids(
    output_dir: Path, parcellation: str, connectome: Path, n_regions: int
) -> NDArray[np.float64]:
    """Place of every region: from the package, else from the label image of one session.

    Parameters
    ----------
    connectome : path
        A measured file of the parcellation; the regions written beside it are looked at.

    Returns
    -------
    ndarray of shape (n_regions, 3)
        mm; NaN where unknown.
    """
    known = load_centres(parcellation)
    if len(known):
        return known
    path = labels_path(output_dir, parse_name(connectome), parcellation)
    unknown = np.full((n_regions, 3), np.nan)
    try:
        return region_centroids(*read_labels(path), n_regions) if path.exists() else unknown
    except InputError as error:
        logger.warning("distances of regions are left out of QC-FC: %s", error)
        return unknown
