"""Connectomes as files of MATLAB toolboxes: BCT, NBS, CONN."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import SettingsError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.writing import write_json, write_table, write_text
from kraken_bids.pipeline.export.stack import Stack

MAX_VARIABLE = 1 << 31
"""Bytes of a variable of a ``.mat`` file of version 5. Source: MAT-File Format, MathWorks."""


def write_mat(stack: Stack, path: Path) -> None:
    """Write ``connectivity`` [n_regions, n_regions, n_sessions] with a diagonal of 0, and names.

    0 on the diagonal is what the functions of the Brain Connectivity Toolbox expect.
    """
    content = {
        "connectivity": _pile(stack, diagonal=0.0),
        "names": _to_cells(stack.regions.region_names),
        "networks": _to_cells(stack.networks),
        "hemispheres": _to_cells(stack.regions.hemispheres),
        "coordinates": stack.centres,
        "participants": _to_cells(stack.subjects),
        "sessions": _to_cells([one or "" for one in stack.sessions]),
        "flavor": stack.kind.flavor.name,
        "what": stack.kind.what,
        "predicted_from": stack.kind.source,
    }
    _save(path, content)


def write_nbs(stack: Stack, folder: Path) -> None:
    """Write what the Network-Based Statistic toolbox asks for.

    Source: NBS 1.2, ``readUI`` and ``NBSrun``. Of a ``.mat`` file it takes the first variable,
    so there is one; every text file in its folder would be read before it, so it lies alone;
    labels are cut at blanks.
    """
    _save(folder / "matrices" / "connectivity.mat", {"connectivity": _pile(stack, diagonal=0.0)})
    labels = ["_".join(name.split()) for name in stack.regions.region_names]
    write_text(folder / "labels.txt", "\n".join(labels) + "\n")
    if np.isfinite(stack.centres).all():
        lines = (" ".join(f"{v:.9g}" for v in centre) for centre in stack.centres)
        write_text(folder / "coordinates.txt", "\n".join(lines) + "\n")
    columns: dict[str, Any] = {"participant_id": stack.subjects, "session_id": stack.sessions}
    write_table(folder / "sessions.tsv", columns)


def write_conn(stack: Stack, path: Path) -> None:
    """Write CONN's matrix NIfTI ``.mtx.nii`` [n_regions, n_regions, 1, n_sessions], and its JSON.

    The diagonal is NaN, and nothing is transformed. Source: CONN, ``conn_mtx_write``.
    """
    import nibabel

    values = _pile(stack, diagonal=np.nan)[:, :, None, :].astype(">f4")
    header: Any = nibabel.Nifti1Header(endianness=">")  # type: ignore[no-untyped-call]
    image: Any = nibabel.Nifti1Image(values, np.eye(4), header)  # type: ignore[no-untyped-call]
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
    labels = [
        "_".join(filter(None, pair)) for pair in zip(stack.subjects, stack.sessions, strict=True)
    ]
    content = {"names": stack.regions.region_names, "samples": labels}
    if np.isfinite(stack.centres).all():
        content["coords"] = stack.centres.tolist()
    write_json(path.with_suffix(".json"), content)


def _pile(stack: Stack, *, diagonal: float) -> NDArray[np.float64]:
    """Matrices [n_regions, n_regions, n_sessions]."""
    n = stack.regions.n_regions
    pile = np.empty((n, n, len(stack.subjects)), order="F")
    for row in range(len(stack.subjects)):
        pile[:, :, row] = stack.square(row, diagonal=diagonal)
    return pile


def _to_cells(words: Any) -> NDArray[np.object_]:
    """Column cell array of texts."""
    cells = np.empty((len(words), 1), object)
    cells[:, 0] = list(words)
    return cells


def _save(path: Path, content: dict[str, Any]) -> None:
    from scipy.io import savemat

    size = content["connectivity"].nbytes
    if size >= MAX_VARIABLE:
        raise SettingsError(
            f"expected less than {MAX_VARIABLE:,} bytes for a variable of a .mat file; "
            f"found {size:,} for {path}. Export fewer participants at once, or --format vectors."
        )
    with atomic_path(path) as temporary:
        savemat(temporary, content, do_compression=True, oned_as="column")
