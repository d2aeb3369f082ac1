"""Files that make OUTPUT_DIR a BIDS dataset: its description, README, tables of regions, URIs."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kraken_bids import __version__
from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.datasets import DESCRIPTION
from kraken_bids.bids.outputs import region_table_path
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.writing import write_json, write_table, write_text
from kraken_bids.parcellations import Parcellation, list_parcellations

BIDS_VERSION = "1.10.0"
CODE_URL = "https://github.com/kraken-bids/kraken_bids"
BIDSIGNORE = (
    "*.html",
    "figures",
    "**/figures/**",
    "logs/",
    "*.log",
    "*_timeseries.*",
    "*_coverage.*",
    "*_reliability.*",
    "*_relmat.*",
    "*_relmats.*",
    "*_intervals.*",
    "*_latents.*",
    "*_regions.*",
    "*_dseg.tsv",
    "group",
    "group/**",
)
"""The validator needs both the folder and what is in it; ``group/`` alone does not work."""
README = """\
# Connectomes measured and predicted by kraken_bids

The matrices have **no header** (unless they were written with `--matrix-header`). In Python:
`kraken_bids.read_matrix(path)`, a table with the names of the regions, or
`pandas.read_csv(path, sep="\\t", header=None)`; without `header=None` pandas takes the first
region for a header and reads 85 × 86 numbers. In R: `read.table(path, header = FALSE)`.

- `sub-*/func`, `sub-*/dwi`: connectomes, `*_atlas-<A>_meas-<M>_relmat.dense.tsv`: square,
  tab-separated, no header; rows and columns in the order of `atlas-<A>_dseg.tsv`; `nan` where a
  region has no data. Files with `desc-<source>kraken` are **predictions** of the Krakencoder from
  that source, as the model gives them, and those with `desc-<source>krakencal` the same in the
  units and around the mean of this cohort, with their intervals in
  `sub-*/*_desc-krakencal_intervals.h5`; all others are measured. The JSON beside each file says
  how it was made.
- `sub-*/func/*_timeseries.tsv`: region means before and (`desc-hpf`) after cleaning; with
  `desc-quality` motion, DVARS and global signal of every volume and whether it counts.
- `sub-*/func/*_desc-singlerun_relmat.dense.tsv`, `*_desc-<N>min_relmat.dense.tsv`: connectomes of
  one run, and of the first minutes (`--per-run`, `--minutes`), which nothing here is predicted
  from; `sub-*/func/*_reliability.tsv`: how alike they are.
- `sub-*/func/*_coverage.tsv`: share of each region with data. `sub-*/func/*_dseg.nii.gz`: the
  regions on the grid of the BOLD series.
- `sub-*/*_desc-kraken_latents.tsv`: latent vector of each source (fusions, each flavor alone).
- `sub-*/*_desc-discordance_regions.tsv`: where measured connectomes differ from what the other
  modality predicts, region by region, compared with controls.
- `sub-*.html`, `group.html`: reports.
- `group/`: adaptation to this site (`adaptation.h5`, reusable with `--adaptation`), calibration
  (`calibration.h5`, reusable with `--calibrate`; what it is worth in `calibration.tsv`), latents,
  metrics, quality control (`qc.tsv`), dependence on head motion (`qcfc.tsv`), mean connectomes,
  how well sites are told apart before and after adaptation (`sites.tsv`, `--adaptation-by`),
  discordance that passes the false discovery rate (`discordance.tsv`).
- `logs/`: what was run (`*.toml`, `*.log`; `kraken-bids --config` one of the former repeats the
  run), hashes of all files (`*_files.tsv`, for `kraken-tools verify`), what failed
  (`failures.tsv`), how to cite (`CITATION.md`).
"""

logger = logging.getLogger(__name__)


def check_output_folder(output_dir: Path) -> None:
    """Refuse to write into the dataset of another tool.

    Raises
    ------
    InputError
        If OUTPUT_DIR is a dataset that kraken_bids did not make.
    """
    path = Path(output_dir) / DESCRIPTION
    content = read_facts(path)
    names = [one.text("Name") for one in content.parts("GeneratedBy")]
    is_nobodys = not path.exists() or (not any(names) and _is_ours(path.parent))
    if "kraken_bids" not in names and not is_nobodys:
        raise InputError(
            f"expected an output folder of kraken_bids or a new one at {path.parent}; found the "
            f"dataset {content.text('Name')!r} of {', '.join(filter(None, names)) or 'another'}"
            " there. Choose another OUTPUT_DIR, so that nothing of it is overwritten."
        )


def _is_ours(output_dir: Path) -> bool:
    """Whether kraken_bids has run here, whatever has become of the description of the dataset."""
    logs = output_dir / "logs"
    for path in (logs / "CITATION.md", *sorted(logs.glob("*.toml"))):
        with suppress(OSError):  # not there, or closed
            if b"kraken_bids" in path.read_bytes():
                return True
    return False


def write_dataset_description(
    output_dir: Path,
    *,
    name: str,
    sources: Mapping[str, Path],
) -> None:
    """Write ``dataset_description.json`` of a derivative dataset.

    Links of earlier runs stay, so that the ``bids:`` URIs in their sidecars still resolve.

    Parameters
    ----------
    name : str
        Name of the dataset, for people.
    sources : mapping
        Name of each dataset that was read (as in ``bids:`` URIs) to its folder.

    Raises
    ------
    InputError
        If the folder is another tool's dataset, or cannot be written to.
    """
    check_output_folder(output_dir)
    path = Path(output_dir) / DESCRIPTION
    old = read_facts(path)
    content = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "kraken_bids", "Version": __version__, "CodeURL": CODE_URL}],
        **_link(old, sources, own=path.parent.resolve().as_uri()),
    }
    if content != old.plain:
        write_json(path, content)


def _link(old: Facts, sources: Mapping[str, Path], *, own: str) -> dict[str, Any]:
    """Datasets that were read, now and by earlier runs."""
    links = {n: Path(p).resolve().as_uri() for n, p in sources.items()}
    known = old.part("DatasetLinks")
    return {
        "SourceDatasets": _join_sources(old, links.values(), own=own),
        "DatasetLinks": {n: known.text(n) for n in known} | links,
    }


def _join_sources(old: Facts, uris: Iterable[str], *, own: str) -> list[dict[str, Any]]:
    """Source datasets of earlier runs, and those of this one that are not among them."""
    known = [one for one in old.parts("SourceDatasets") if one and one.text("URL") != own]
    sources = [dict(one.plain) for one in known]
    there = {str(one.get("URL")) for one in sources}
    return [*sources, *({"URL": uri} for uri in uris if uri not in there)]


def write_bidsignore(output_dir: Path) -> None:
    """Write ``.bidsignore``: files that BIDS does not know yet (matrices, latents)."""
    path = Path(output_dir) / ".bidsignore"
    text = "\n".join(BIDSIGNORE) + "\n"
    with suppress(OSError):  # not there, or closed: then it is replaced
        if path.read_bytes() == text.encode():
            return
    write_text(path, text)


def write_readme(output_dir: Path) -> None:
    """Write ``README.md`` of the dataset, unless somebody has written one."""
    path = Path(output_dir) / "README.md"
    if not path.is_file() or not path.stat().st_size:
        write_text(path, README)


def write_region_tables(output_dir: Path, parcellations: Sequence[Parcellation]) -> None:
    """Write ``atlas-<name>_dseg.tsv`` per parcellation: index, name, hemisphere, group.

    Raises
    ------
    InputError
        If the folder holds other regions under that name.
    """
    for parcellation in parcellations:
        columns = {
            "index": parcellation.indices,
            "name": parcellation.region_names,
            "hemisphere": parcellation.hemispheres,
            "group": parcellation.groups,
        }
        path = region_table_path(output_dir, parcellation.name)
        wanted = list(zip(parcellation.indices, parcellation.region_names, strict=True))
        found = _read_regions(path, parcellation.name)
        is_known = parcellation.name in list_parcellations()
        if found == wanted:
            continue
        if is_known or found == wanted[: len(found)]:  # a table that is cut, or damaged
            write_table(path, columns)
        else:
            raise InputError(
                f"expected the {parcellation.n_regions} regions of {parcellation.name} in {path}; "
                "found others, of an earlier run with another atlas of that name. Give this one "
                "another name, or choose another OUTPUT_DIR."
            )


def _read_regions(path: Path, name: str) -> list[tuple[int, str]]:
    """Regions of a table that is there already; none where it is missing or damaged."""
    try:
        found = read_region_table(name, path) if path.exists() else None
    except InputError as error:
        logger.warning("written anew: %s", error)
        found = None
    return [] if found is None else list(zip(found.labels, found.region_names, strict=True))
