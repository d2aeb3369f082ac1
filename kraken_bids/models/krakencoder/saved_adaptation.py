"""Adaptations on disk: all of it in HDF5, and beside it JSON that people read."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.files import atomic_path
from kraken_bids.io.foreign_hdf5 import EVERYTHING, Stored, list_hdf5
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation, parse_mode
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation
from kraken_bids.scores.covariates import Covariate

if TYPE_CHECKING:
    import h5py

FORMAT = "kraken_bids adaptation"
BY_SITE = "kraken_bids adaptation by site"
ARRAYS_NAME = "adaptation.h5"
SUMMARY_NAME = "adaptation.json"
ADAPTATION = Kind(
    "a saved adaptation",
    "Give the adaptation.h5 of a group run, or fit one anew.",
    CheckpointError,
)


def write_adaptation(adaptation: Adaptation, path: Path | str) -> Path:
    """Write ``adaptation.json`` (to read) and ``adaptation.h5`` (all of it); returns the latter.

    Parameters
    ----------
    path : Path or str
        A folder, or a file whose name (``.h5`` or ``.json``) both files take.
    """
    arrays, summary = list_adaptation_files(path)
    with write_hdf5(arrays) as file:
        _write_arrays(adaptation, file)
    text = json.dumps(
        {
            "Format": BY_SITE if isinstance(adaptation, SiteAdaptation) else FORMAT,
            "Mode": adaptation.mode,
            "ModelSHA256": adaptation.model_sha256,
            "Arrays": arrays.name,
            "Flavors": _summarize(adaptation),
            **_summarize_sites(adaptation),
        },
        indent=2,
    )
    with atomic_path(summary) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return arrays


def _summarize(adaptation: Adaptation) -> dict[str, object]:
    return {
        flavor.name: {
            "Mode": fit.mode,
            "b0": fit.b0,
            "b1": fit.b1,
            "R2": fit.r2,
            "NumberOfSubjects": fit.n_subjects,
            "EdgesOfTrainingMean": fit.n_of_training,
        }
        for flavor, fit in sorted(adaptation.flavors.items())
    }


def _summarize_sites(adaptation: Adaptation) -> dict[str, object]:
    if not isinstance(adaptation, SiteAdaptation):
        return {}
    return {
        "By": adaptation.column,
        "Covariates": list(adaptation.covariate_names),
        "Sites": {site: _summarize(own) for site, own in sorted(adaptation.sites.items())},
    }


def read_adaptation(path: Path | str) -> Adaptation:
    """Read a saved adaptation: its folder, its ``.json`` beside the ``.h5``, or the ``.h5``.

    Raises
    ------
    CheckpointError
        If there is none, or it is not one.
    """
    arrays, _ = list_adaptation_files(path)
    if not arrays.is_file():
        raise CheckpointError(
            "expected a saved adaptation (adaptation.h5, written by kraken-bids … group or "
            f"kraken-tools predict --save-adaptation); found no {arrays}. Check the path."
        )
    content = list_hdf5(ADAPTATION, arrays, up_to=EVERYTHING)
    try:
        about = content[""].attributes
        if about.get("format") not in {FORMAT, BY_SITE}:
            raise ADAPTATION.refuse(arrays, "an HDF5 file of another kind")
        flavors = {
            parse_flavor(name.rpartition("/")[2]): _read_flavor(content, name)
            for name in _list_inside(content, "flavors")
        }
        known = Adaptation(str(about["model_sha256"]), str(about["mode"]), flavors)
        return known if about["format"] == FORMAT else _read_sites(content, known)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ADAPTATION.refuse(arrays, error) from error


def list_adaptation_files(path: Path | str) -> tuple[Path, Path]:
    """List the files of a saved adaptation: the arrays, and the summary that people read."""
    path = Path(path)
    if path.suffix in {".h5", ".json"}:
        return path.with_suffix(".h5"), path.with_suffix(".json")
    return path / ARRAYS_NAME, path / SUMMARY_NAME


def _write_arrays(adaptation: Adaptation, file: "h5py.File") -> None:
    file.attrs["format"] = FORMAT
    file.attrs["mode"] = adaptation.mode
    file.attrs["model_sha256"] = adaptation.model_sha256
    _write_fits(adaptation, file.create_group("flavors"))
    if isinstance(adaptation, SiteAdaptation):
        _write_sites(adaptation, file)


def _write_fits(adaptation: Adaptation, flavors: "h5py.Group") -> None:
    for flavor, fit in sorted(adaptation.flavors.items()):
        group = flavors.create_group(flavor.name)
        group["mean_new"] = fit.mean_new
        group["training_mean"] = fit.training_mean
        for name in ("mode", "b0", "b1", "r2", "n_subjects"):
            group.attrs[name] = getattr(fit, name)


def _write_sites(adaptation: SiteAdaptation, file: "h5py.File") -> None:
    """Write sites by number, since their names may hold what paths cannot."""
    file.attrs["format"], file.attrs["column"] = BY_SITE, adaptation.column
    for number, (site, own) in enumerate(sorted(adaptation.sites.items())):
        group = file.create_group(f"sites/{number}")
        group.attrs["name"] = site
        _write_fits(own, group)
    for flavor, covariates in sorted(adaptation.covariates.items()):
        effects = file.create_group(f"effects/{flavor.name}")
        effects.attrs["covariates"] = json.dumps([asdict(one) for one in covariates])
        if covariates:
            effects["slopes"] = adaptation.slopes[flavor]


def _read_sites(content: Mapping[str, Stored], known: Adaptation) -> SiteAdaptation:
    sites = {
        str(content[place].attributes["name"]): Adaptation(
            known.model_sha256,
            known.mode,
            {
                parse_flavor(name.rpartition("/")[2]): _read_flavor(content, name)
                for name in _list_inside(content, place)
            },
        )
        for place in _list_inside(content, "sites")
    }
    covariates: dict[Flavor, tuple[Covariate, ...]] = {}
    slopes: dict[Flavor, NDArray[np.float32]] = {}
    for place in _list_inside(content, "effects"):
        flavor = parse_flavor(place.rpartition("/")[2])
        rows = json.loads(str(content[place].attributes["covariates"]))
        covariates[flavor] = tuple(_read_covariate(row) for row in rows)
        if rows:
            slopes[flavor] = np.asarray(content[f"{place}/slopes"].value, np.float32)
            n_columns = sum(len(one.columns) for one in covariates[flavor])
            shape = n_columns, known.flavors[flavor].mean_new.size
            # NaN: edges of which those who have them cannot tell sites from covariates
            if slopes[flavor].shape != shape or np.isinf(slopes[flavor]).any():
                raise ValueError(f"effects of {place} that are not {shape} numbers")
    column = str(content[""].attributes["column"])
    return SiteAdaptation(
        **vars(known), column=column, sites=sites, covariates=covariates, slopes=slopes
    )


def _read_covariate(row: Mapping[str, Any]) -> Covariate:
    centers = tuple(map(float, row["centers"]))
    scale = float(row["scale"])
    found = Covariate(str(row["name"]), tuple(map(str, row["levels"])), centers, scale)
    if len(centers) != len(found.columns) or not np.isfinite([*centers, scale]).all() or not scale:
        raise ValueError(f"a covariate that cannot be: {dict(row)}")
    return found


def _list_inside(content: Mapping[str, Stored], folder: str) -> list[str]:
    """List the groups directly inside one, in the order of numbers where they are numbers."""
    depth = folder.count("/") + 1
    names = [n for n in content if n.startswith(f"{folder}/") and n.count("/") == depth]
    return sorted(names, key=lambda n: (len(n), n)) if folder == "sites" else names


def _read_flavor(content: Mapping[str, Stored], name: str) -> FlavorAdaptation:
    about = content[name].attributes
    fit = FlavorAdaptation(
        mode=parse_mode(str(about["mode"])),
        mean_new=np.asarray(content[f"{name}/mean_new"].value, np.float32),
        training_mean=np.asarray(content[f"{name}/training_mean"].value, np.float32),
        b0=float(about["b0"]),
        b1=float(about["b1"]),
        r2=float(about["r2"]),
        n_subjects=int(about["n_subjects"]),
    )
    means = np.stack([fit.mean_new, fit.training_mean])  # ValueError unless as long as each other
    if means.ndim != 2 or not np.isfinite(means).all() or not np.isfinite([fit.b0, fit.b1]).all():
        raise ValueError(f"means of {name} that are no finite edges, or a line that is not finite")
    return fit
