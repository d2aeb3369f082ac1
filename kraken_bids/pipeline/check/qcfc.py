"""QC-FC of the group: how strongly each functional flavor follows head motion over sessions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import (
    OUTPUT,
    group_path,
    labels_path,
    region_table_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.connectome.symmetry import fold_square
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.facts import read_table
from kraken_bids.io.foreign_hdf5 import read_hdf5
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.images import read_labels
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.pipeline.check.kept_results import Kept, Plain, digest_file
from kraken_bids.scores.motion_dependence import (
    MIN_SESSIONS,
    MotionDependence,
    correlate_with_motion,
    distance_dependence,
    edge_distances,
    region_centroids,
)

logger = logging.getLogger(__name__)

TABLE, EDGES = "qcfc.tsv", "qcfc.h5"
COLUMN_WORDS = {
    "n_sessions": "sessions with the flavor and known motion",
    "n_edges": "edges that enough sessions have",
    "median_abs_r": "median over edges of abs(r), r: correlation of an edge with mean "
    "framewise displacement over sessions",
    "chance_abs_r": "the same where motion plays no part, with so many sessions",
    "share_p05": "share of edges with p < 0.05, uncorrected; 0.05 by chance",
    "share_fdr05": "share of edges with a false discovery rate below 0.05",
    "distance_rho": "Spearman correlation of r with the distance of the two regions; clearly "
    "negative where motion is left in the data",
}


@dataclass(frozen=True)
class QcFc:
    """One flavor over the cohort."""

    flavor: Flavor
    dependence: MotionDependence
    distances: NDArray[np.float64]
    """[n_edges], mm; NaN where regions have no known place."""

    def row(self) -> dict[str, object]:
        """Its row of the table."""
        found = self.dependence
        return {
            "flavor": self.flavor.name,
            "n_sessions": found.n_sessions,
            "n_edges": int(np.isfinite(found.correlation).sum()),
            "median_abs_r": round(found.median_absolute, 5),
            "chance_abs_r": round(found.chance_absolute, 5),
            "share_p05": round(found.share_uncorrected, 5),
            "share_fdr05": round(found.share_corrected, 5),
            "distance_rho": round(distance_dependence(found, self.distances), 5),
        }


def write_qcfc(output_dir: Path, members: Sequence[Member], *, anew: bool = False) -> None:
    """Correlate every functional flavor with head motion and write ``group/qcfc.tsv``.

    With fewer than 10 sessions nothing is written, that of an earlier run is taken away, and the
    log says so. Edges themselves go into ``qcfc.h5``, for the report.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    anew : bool, optional
        Whether connectomes are correlated again that have been with the same motion.
    """
    kept = Kept(group_path(output_dir, ""), anew=anew)
    flavors = sorted({f for member in members for f in member.connectomes if f.group == "FC"})
    motion = {flavor: _read_motion(members, flavor) for flavor in flavors}
    _say_short(motion)
    enough = {flavor: own for flavor, own in motion.items() if len(own) >= MIN_SESSIONS}
    found = [
        one for flavor, own in enough.items() if (one := _measure(output_dir, flavor, own, kept))
    ]
    table, edges = group_path(output_dir, TABLE), group_path(output_dir, EDGES)
    if not found:
        for path in (table, sidecar_path(table), edges):
            path.unlink(missing_ok=True)
        return
    rows = [one.row() for one in found]
    write_table(table, {key: [row[key] for row in rows] for key in rows[0]})
    write_json(sidecar_path(table), {
        "Description": "Dependence of functional connectomes on head motion over sessions (QC-FC)",
        **{key: {"Description": words} for key, words in COLUMN_WORDS.items()},
    })  # fmt: skip
    with write_hdf5(edges) as file:
        for one in found:
            group = file.create_group(one.flavor.name)
            group.create_dataset("r", data=one.dependence.correlation.astype(np.float32))
            group.create_dataset("distance", data=one.distances.astype(np.float32))


def read_qcfc(output_dir: Path) -> list[tuple[dict[str, Any], NDArray[Any], NDArray[Any]]]:
    """Rows of the table with r and distance of every edge; nothing where there is none.

    Raises
    ------
    InputError
        If one of the two files is damaged.
    """
    table, edges = group_path(output_dir, TABLE), group_path(output_dir, EDGES)
    if not (table.exists() and edges.exists()):
        return []
    numbers = [name for name in COLUMN_WORDS if name != "flavor"]
    columns = read_table(table, numbers=numbers, texts=("flavor",))
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    content = read_hdf5(OUTPUT, edges)
    found = []
    for row in rows:
        r, distance = (content.get(f"{row['flavor']}/{name}") for name in ("r", "distance"))
        if r is not None and distance is not None and r.shape == distance.shape:
            found.append((row, r, distance))
    return found


def _read_motion(members: Sequence[Member], flavor: Flavor) -> dict[Path, float]:
    """Mean framewise displacement, mm, of every session's connectome where it is known."""
    motion = {
        member.connectomes[flavor]: member.measurements[flavor].mean_fd
        for member in members
        if flavor in member.connectomes
    }
    return {path: value for path, value in motion.items() if value is not None}


def _say_short(motion: Mapping[Flavor, Mapping[Path, float]]) -> None:
    short = {flavor.name: len(own) for flavor, own in motion.items() if len(own) < MIN_SESSIONS}
    if short:
        names = ", ".join(short) if len(short) < len(motion) else "any flavor"
        logger.info(
            "no QC-FC of %s: it needs %d sessions with known head motion; %d have it",
            names,
            MIN_SESSIONS,
            max(short.values()),
        )


def _measure(
    output_dir: Path, flavor: Flavor, motion: Mapping[Path, float], kept: Kept
) -> QcFc | None:
    files = [(str(path), digest_file(path), value) for path, value in motion.items()]
    broken: list[str] = []
    try:
        n_regions = _count_regions(output_dir, flavor.parcellation)
        found = kept.recall(
            f"qcfc_{flavor.name}",
            [n_regions, files],
            lambda: _correlate(motion, n_regions, broken),
        )
        for text in () if broken else found["broken"]:
            logger.warning("left out of QC-FC: %s", text)
        dependence = MotionDependence(
            np.array(found["r"], np.float64), np.array(found["p"], np.float64), len(motion)
        )
        centroids = find_centroids(output_dir, flavor.parcellation, next(iter(motion)), n_regions)
    except (ConnectomeError, InputError) as error:
        logger.warning("no QC-FC of %s: %s", flavor.name, error)
        return None
    return QcFc(flavor, dependence, edge_distances(centroids))


def _correlate(motion: Mapping[Path, float], n_regions: int, broken: list[str]) -> Plain:
    """Correlations with motion and their p as plain values, and what is said of broken files."""
    edges = _read_edges(motion, n_regions, broken)
    found = correlate_with_motion(edges, np.array(list(motion.values())))
    return {"r": found.correlation.tolist(), "p": found.p_value.tolist(), "broken": broken}


def _read_edges(
    paths: Mapping[Path, float], n_regions: int, broken: list[str]
) -> Iterator[NDArray[np.float64]]:
    """Edges of every file [n_edges]; NaN for one that is broken, which is said and noted."""
    n_edges = n_regions * (n_regions - 1) // 2
    for path in paths:
        try:
            edges, _ = fold_square(read_relmat(path), str(path))
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
    output_dir : path
    parcellation : str
    connectome : path
        A measured file of the parcellation; the regions written beside it are looked at.
    n_regions : int

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
