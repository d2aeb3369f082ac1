"""Files of a participant's predictions: matrices, latents, and sidecars that say whence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import (
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.sidecars import (
    forget_digest,
    hold_session,
    matrix_sidecar,
    size_of,
)
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.parcellations import load_parcellation

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PredictionJob:
    """What is written for one member; travels to a worker."""

    output_dir: Path
    member: Member
    latents: Mapping[str, tuple[int, Array]]
    """Per source: number of inputs, latent [n_latent]."""
    connectomes: Mapping[tuple[str, Flavor], Array]
    """Per source and target: edges [n_edges]."""
    sidecars: Mapping[str, Mapping[str, object]]
    """Per source: what the sidecars of its predictions share."""
    output_format: str
    has_header: bool
    """Whether the names of the regions stand above each matrix."""
    notice: str
    digest: str
    warnings: Sequence[str] = ()
    """What readers must know of all these predictions, in plain words."""


def write_predictions(job: PredictionJob) -> None:
    """Write a member's predicted connectomes, then its latents, whose sidecar says all is done.

    Runs that write the same session take turns, so that its files are of one of them.

    Raises
    ------
    FlavorError
        If the model can read none of the member's connectomes.
    """
    if not job.latents:
        raise FlavorError(
            f"expected a connectome of {job.member.label} that the model can read; found "
            f"{', '.join(f.name for f in sorted(job.member.connectomes))}, whose flavors it does "
            "not know or which lack too many regions. Measure others (--flavors), or give a model "
            "of these (--model)."
        )
    with hold_session(job.output_dir, job.member.label):
        latents = latents_path(job.output_dir, job.member.subject, job.member.session)
        forget_digest(latents)
        if job.output_format == "h5":
            _write_archive(job)
        else:
            _write_matrices(job)
        _write_latents(job, latents)


def _write_matrices(job: PredictionJob) -> None:
    for (source, flavor), edges in job.connectomes.items():
        path = relmat_path(job.output_dir, job.member.entities, flavor, source=source)
        names = _list_regions(flavor) if job.has_header else ()
        write_relmat(path, edges_to_square(edges, diagonal=flavor.diagonal), header=names)
        facts = _target_sidecar(flavor) | dict(job.sidecars[source]) | _warn(job)
        write_json(sidecar_path(path), facts | size_of(path) | {"RunDigest": job.digest})


def _write_latents(job: PredictionJob, path: Path) -> None:
    n_latent = len(next(iter(job.latents.values()))[1])
    columns: dict[str, list[object]] = {
        "source": list(job.latents),
        "n_inputs": [n for n, _ in job.latents.values()],
    }
    for k in range(n_latent):
        columns[f"z{k:03d}"] = [float(row[k]) for _, row in job.latents.values()]
    write_table(path, columns)
    write_json(
        sidecar_path(path),
        {
            "Description": "Latent vector of each source: the mean latent of its input flavors",
            "source": {"Description": "fusion of several flavors, or one flavor"},
            "n_inputs": {"Description": "number of measured flavors that were averaged"},
            "InputSources": {name: dict(facts) for name, facts in job.sidecars.items()},
            "Software": "kraken_bids",
            "SoftwareVersion": __version__,
            **({"AdaptationNotice": job.notice} if job.notice else {}),
            **_warn(job),
            **size_of(path),
            "RunDigest": job.digest,
        },
    )


def _list_regions(flavor: Flavor) -> tuple[str, ...]:
    try:
        return load_parcellation(flavor.parcellation).region_names
    except FlavorError:
        return ()  # the package has no table of a parcellation that only the model knows


def _target_sidecar(flavor: Flavor) -> dict[str, object]:
    facts = matrix_sidecar(flavor)
    return facts | {"Description": f"predicted: {facts['Description']}"}


def _write_archive(job: PredictionJob) -> None:
    """One HDF5 file: a group per source, in it a square dataset per target flavor."""
    path = prediction_archive_path(job.output_dir, job.member.subject, job.member.session)
    with write_hdf5(path) as file:
        for (source, flavor), edges in job.connectomes.items():
            square = edges_to_square(edges, diagonal=flavor.diagonal)
            file.create_dataset(
                f"{source}/{flavor.name}",
                data=square.astype(np.float32),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
    write_json(
        sidecar_path(path),
        {
            "Description": "Predicted connectomes: /SOURCE/FLAVOR, square",
            "InputSources": {name: dict(facts) for name, facts in job.sidecars.items()},
            **_warn(job),
            **size_of(path),
            "RunDigest": job.digest,
        },
    )


def _warn(job: PredictionJob) -> dict[str, object]:
    return {"Warnings": list(job.warnings)} if job.warnings else {}
