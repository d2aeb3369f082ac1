"""Predictions as BIDS-named tables: a small derivatives dataset, in a folder or zipped."""

import re
import shutil
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import format_name, parse_name
from kraken_bids.bids.output_dataset import (
    write_bidsignore,
    write_dataset_description,
    write_region_tables,
)
from kraken_bids.bids.outputs import PREDICTED, latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.decoding import CohortPredictions
from kraken_bids.cohort.latent_tables import write_latent_table
from kraken_bids.cohort.prediction_archives import ENCODED, split_key
from kraken_bids.cohort.read_ahead import write_behind
from kraken_bids.cohort.sidecar_records import SOFTWARE, WARNINGS, ModelRecord, OriginRecord
from kraken_bids.cohort.sidecars import predicted_sidecar
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import write_json, write_relmat, write_text
from kraken_bids.models.krakencoder.model_regions import describe_regions
from kraken_bids.parcellations import list_parcellations, load_parcellation

Array = NDArray[np.float32]

ZIPPED = ".zip"
LABEL = re.compile(r"[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?")
README = """\
# Connectomes predicted by kraken-tools predict

The matrices have **no header**. In Python: `kraken_bids.read_matrix(path)`, or
`pandas.read_csv(path, sep="\\t", header=None)`.

- `sub-*/func`, `sub-*/dwi`: predictions `*_desc-<source>kraken_relmat.dense.tsv`, square,
  tab-separated, no header; the JSON of the same name without `sub-` says what they are.
- `sub-*/*_desc-kraken_latents.tsv`: latent vector of each source.
"""


def write_prediction_tables(predictions: CohortPredictions, output: Path) -> None:
    """Write each subject's predictions as matrices with BIDS names, and the latents.

    Parameters
    ----------
    predictions : CohortPredictions
        They are written while the next ones are computed. Subjects without a source's inputs have
        no files of it.
    output : Path
        A folder, or ``.zip``.

    Raises
    ------
    SettingsError
        If a subject's label, or a source's name, cannot stand in a BIDS file name.
    InputError
        If the folder is another tool's dataset, the disk is full, or it cannot be written to.
    """
    if output.suffix != ZIPPED:
        _write_dataset(predictions, output)
        return
    with atomic_path(output) as temporary, _open_folder_beside(temporary) as folder:
        _write_dataset(predictions, folder)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(folder))


@contextmanager
def _open_folder_beside(temporary: Path) -> Iterator[Path]:
    """Give a folder whose name tells, as that of the temporary file, when it is left over."""
    folder = temporary.with_name(f"{temporary.name}.d")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_dataset(predictions: CohortPredictions, folder: Path) -> None:
    entities = [_to_entities(subject) for subject in predictions.subjects]
    _check_sources(predictions)
    write_dataset_description(folder, name="Predicted connectomes", sources={})
    write_bidsignore(folder)
    write_text(folder / "README.md", README)
    names = sorted({one.target.parcellation for one in predictions.predictions})
    known = [load_parcellation(name) for name in names if name in list_parcellations()]
    others = describe_regions(predictions.model, set(names) - set(list_parcellations()))
    write_region_tables(folder, [*known, *others])
    latents: dict[str, Array] = {}
    n_written: Counter[str] = Counter()

    def write(item: tuple[str, Array]) -> None:
        key, block = item
        source, target = split_key(key)
        if target == ENCODED:
            latents[source] = block
            return
        flavor = parse_flavor(target)
        if not n_written[key]:
            _write_sidecar(predictions, folder, source, flavor)
        for edges in block:
            if np.isfinite(edges).all():
                path = relmat_path(folder, entities[n_written[key]], flavor, source=source)
                write_relmat(path, edges_to_square(edges, diagonal=flavor.diagonal))
            n_written[key] += 1

    write_behind(predictions.blocks(), write)
    for row, own in enumerate(entities):
        present = {name: z[row] for name, z in latents.items() if np.isfinite(z[row]).all()}
        if present:
            write_latent_table(latents_path(folder, own["sub"], own.get("ses")), present)


def _to_entities(subject: str) -> dict[str, str]:
    """BIDS entities of a row's label, ``01`` or ``01_ses-1``."""
    if not LABEL.fullmatch(subject):
        raise SettingsError(
            "expected subjects whose labels can stand in BIDS file names (letters and digits, or "
            f"LABEL_ses-LABEL); found {subject!r}. Write --output FILE.npz, .mat or .h5 instead, "
            "or rename them in the input."
        )
    found = parse_name(f"sub-{subject}_relmat.tsv")
    return {key: found[key] for key in ("sub", "ses") if key in found}


def _check_sources(predictions: CohortPredictions) -> None:
    """Check that file names tell the sources apart, which keep their letters and digits only."""
    names: dict[str, set[str]] = defaultdict(set)
    for one in predictions.predictions:
        names[re.sub(r"[^A-Za-z0-9]", "", one.source)].add(one.source)
    for label, sources in names.items():
        if len(sources) > 1:
            raise SettingsError(
                f"expected sources that differ in letters and digits; found "
                f"{' and '.join(sorted(sources))}, both desc-{label}{PREDICTED}. Rename one."
            )


def _write_sidecar(
    predictions: CohortPredictions, folder: Path, source: str, flavor: Flavor
) -> None:
    """One JSON for all subjects, which BIDS lets files below it inherit."""
    name = parse_name(relmat_path(folder, {"sub": "x"}, flavor, source=source))
    shared = {key: value for key, value in name.items() if key != "sub"}
    path = folder / format_name(shared, suffix="relmat", extension=name["extension"])
    write_json(
        sidecar_path(path),
        {
            **predicted_sidecar(flavor),
            **to_sidecar(
                OriginRecord(source=source),
                ModelRecord(predictions.model.name, predictions.model.sha256),
            ),
            **({WARNINGS: list(predictions.warnings)} if predictions.warnings else {}),
            **SOFTWARE,
        },
    )
