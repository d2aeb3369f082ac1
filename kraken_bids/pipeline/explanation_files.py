"""An explanation as files: matrices on the regions, a table of knock-outs, pictures of brains."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.bids.names import format_name
from kraken_bids.bids.output_dataset import write_region_tables
from kraken_bids.bids.outputs import RELMAT, sidecar_path
from kraken_bids.cohort.sidecar_records import ORIGIN, REGIONS, SOFTWARE, WARNINGS, ModelRecord
from kraken_bids.cohort.sidecars import matrix_sidecar
from kraken_bids.connectome.matrices import edges_to_square, find_missing_regions
from kraken_bids.flavors import Flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.records import replace_records, to_sidecar
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.models.krakencoder.exact_steps import Floats
from kraken_bids.pipeline.explanation import Explanation, KnockOut
from kraken_bids.report.sections.brain import draw_glass_brain, find_strongest

logger = logging.getLogger(__name__)

SUMMARY = "explanation.json"
KNOCK_OUTS = "knockouts.tsv"


def write_explanation(found: Explanation, folder: Path) -> None:
    """Write an explanation into a folder.

    ``explanation.json``; per input a matrix ``atlas-A_meas-M_desc-sensitivity_relmat.dense.tsv``
    with its sidecar, and a picture of its strongest edges where the places of the regions are
    known; ``knockouts.tsv``; the tables of regions.

    Raises
    ------
    InputError
        If the disk is full, the folder cannot be written to, or holds other regions of an atlas.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_region_tables(folder, list(found.regions.values()))
    facts = _describe(found)
    for flavor, edges in found.sensitivity.gradients.items():
        _write_matrix(found, flavor, edges, folder=folder, facts=facts)
    replace_records(
        folder / KNOCK_OUTS,
        [KnockOut],
        [(one,) for one in found.knock_outs],
        description=f"What becomes of {found.words} when edges of the inputs are set to their "
        "training mean, the other edges and inputs as they are",
    )
    sizes = {f.name: _measure(edges) for f, edges in found.sensitivity.gradients.items()}
    write_json(folder / SUMMARY, facts | {"RootSumOfSquares": sizes})


def _describe(found: Explanation) -> dict[str, Any]:
    """Say what was explained, where, and by which model."""
    target, adaptation = found.score.target, found.adaptation
    inputs = list(found.sensitivity.gradients)
    fits = {f: adaptation.of(f) for f in inputs} if adaptation else {}
    return {
        "Score": found.words,
        "Target": target.name if target else "latent",
        "Value": found.sensitivity.value,
        "Subject": found.subject,
        ORIGIN.source: found.source,
        "Inputs": [flavor.name for flavor in inputs],
        **to_sidecar(
            ModelRecord(
                found.model.name,
                found.model.sha256,
                adaptation_mode=adaptation.mode if adaptation else "none",
            )
        ),
        "AdaptationSlopes": {f.name: fit.b0 for f, fit in fits.items() if fit is not None},
        "NotDifferentiable": list(found.sensitivity.kinks),
        **({WARNINGS: list(found.warnings)} if found.warnings else {}),
        **SOFTWARE,
    }


def _write_matrix(
    found: Explanation, flavor: Flavor, edges: Floats, *, folder: Path, facts: dict[str, Any]
) -> None:
    """Write the sensitivity to the edges of one input, and draw it."""
    entities = {"atlas": flavor.parcellation, "meas": flavor.meas, "desc": "sensitivity"}
    path = folder / format_name(entities, suffix="relmat", extension=RELMAT)
    square = np.asarray(edges_to_square(edges, diagonal=np.nan))
    missing = find_missing_regions(square)
    np.fill_diagonal(square, 0.0)
    square[missing] = square[:, missing] = np.nan
    write_relmat(path, square)
    names = found.regions[flavor.parcellation].region_names
    write_json(
        sidecar_path(path),
        matrix_sidecar(flavor)
        | {
            "Description": f"Change of {found.words} per unit of each edge of {flavor}, as it "
            "was given (before adaptation), all other edges and inputs as they are",
            "Units": f"score per unit of {flavor}",
            REGIONS.missing_regions: [n for n, gone in zip(names, missing, strict=True) if gone],
        }
        | facts,
    )
    picture = folder / format_name(entities, suffix="brain", extension=".png")
    brain = find_strongest(flavor, (edges, None))
    if brain is None:
        logger.info("%s: no picture, since the places of its regions are not known", flavor)
        picture.unlink(missing_ok=True)
        return
    with atomic_path(picture) as temporary:
        temporary.write_bytes(draw_glass_brain(brain, unit="change per unit of the edge"))


def _measure(edges: Floats) -> float:
    """Root of the sum of squares of what is known."""
    return float(np.sqrt(np.nansum(edges**2)))
