"""Readers of what is fitted: adaptations, transforms of models, ITK's transforms of images."""

from pathlib import Path
from typing import Any

import numpy as np

from fuzz.arrays import AFFINE, FLAVORS, N_EDGES, edges, pack_h5, pack_mat
from fuzz.cases import Reader, Seed, require


def list_readers() -> list[Reader]:
    """List the readers of what is fitted."""
    return [
        Reader("adaptation", _list_adaptations, _read_adaptation),
        Reader("calibration", _list_calibrations, _read_calibration),
        Reader("transforms h5", _list_transforms, _read_transforms),
        Reader("ITK txt", _list_itk_texts, _read_itk),
        Reader("ITK mat", _list_itk_mats, _read_itk),
        Reader("ITK h5", _list_itk_h5, _read_itk),
    ]


def _list_adaptations() -> list[Seed]:
    arrays, attributes = {}, {"@format": "kraken_bids adaptation", "@mode": "meanfit+meanshift"}
    values: dict[str, Any] = {"@model_sha256": "0" * 64}
    for flavor in FLAVORS:
        place = f"flavors/{flavor}"
        arrays[f"{place}/mean_new"] = edges().mean(axis=0).astype(np.float32)
        arrays[f"{place}/training_mean"] = edges()[0].astype(np.float32)
        values |= {f"{place}@b0": 0.9, f"{place}@b1": 0.1, f"{place}@r2": 0.8}
        values |= {f"{place}@n_subjects": 12, f"{place}@mode": "meanfit+meanshift"}
    packed = pack_h5(arrays, attributes=attributes | values)
    return [Seed("adaptation.h5", packed)]


def _read_adaptation(path: Path) -> None:
    from kraken_bids.models.krakencoder.adaptation import MODES, apply_adaptation
    from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation

    found = read_adaptation(path)
    require(isinstance(found.model_sha256, str), "no identity")
    for fit in found.flavors.values():
        require(fit.mode in MODES and isinstance(fit.n_subjects, int), "no mode or number")
        require(fit.mean_new.dtype == np.float32 == fit.training_mean.dtype, "another type")
        require(fit.mean_new.shape == fit.training_mean.shape, "means of other edges")
        apply_adaptation(np.ones((2, fit.mean_new.size), np.float32), fit)


def _list_calibrations() -> list[Seed]:
    n, n_folds = 6, 2
    flat = edges()[0].astype(np.float32)
    attributes: dict[str, Any] = {"@format": "kraken_bids calibration", "@refused": "[]"}
    attributes |= {f"@{name}": "0" for name in ("model_sha256", "adaptation", "rests_on")}
    attributes |= {"@adaptation_mode": "none"}
    arrays: dict[str, Any] = {}
    for flavor in FLAVORS:
        place = f"pairs/fusionSC/{flavor}"
        facts = {"inputs": "SC", "units": "", "interval_coverage": 0.9, "n_fitted": n}
        facts |= {"kept": 0.5, "correlation": 0.1, "record": "{}"}
        attributes |= {f"{place}@{name}": value for name, value in facts.items()}
        for name in ("mean_measured", "mean_predicted", "slope", "error"):
            arrays[f"{place}/{name}"] = flat
        for name in ("fold_means", "fold_slopes"):
            arrays[f"{place}/{name}"] = np.stack([flat] * n_folds)
        arrays[f"{place}/fold_sizes"] = np.full(n_folds, n - 3)
        arrays[f"{place}/fold_kept"] = np.full(n_folds, 0.5)
        for name in ("difficulty_centers", "difficulty_weights"):
            arrays[f"{place}/{name}"] = np.zeros((n_folds, 2))
        arrays[f"{place}/latent_center"] = np.zeros(3)
        arrays[f"{place}/folds"] = np.arange(n) % n_folds
        for name in ("subjects", "connectomes", "people"):
            arrays[f"{place}/{name}"] = ["{}"] * n
    return [Seed("calibration.h5", pack_h5(arrays, attributes=attributes))]


def _read_calibration(path: Path) -> None:
    from kraken_bids.models.calibration.intervals import span_predictions
    from kraken_bids.models.calibration.saved_calibrations import read_calibrations

    for pair in read_calibrations(path).pairs.values():
        own = np.ones(pair.calibration.slope.size, np.float32)
        require(bool(np.isfinite(pair.calibration.slope).all()), "slopes that are not finite")
        require(pair.calibration.apply(own).shape == own.shape, "edges of another length")
        low, high = span_predictions(own, pair.without)
        require(bool((low <= high).all()), "intervals upside down")
        require(len(pair.people) == len(pair.folds), "other people than folds")


def _list_transforms() -> list[Seed]:
    arrays = {}
    for flavor in FLAVORS:
        place = f"transform_params/{flavor}"
        arrays[f"{place}/pca_components"] = np.eye(3, N_EDGES, dtype=np.float32)
        arrays[f"{place}/pca_input_mean"] = edges()[0].astype(np.float32)
        arrays[f"{place}/input_normscale"] = np.ones(1, np.float32)
        arrays[f"{place}/output_normscale"] = np.ones(1, np.float32)
        arrays[f"{place}/input_dimension"] = np.array(N_EDGES)
    kinds = {f"transform_params/{flavor}@type": "pca" for flavor in FLAVORS}
    return [Seed("kraken_ioxfm_mini.h5", pack_h5(arrays, attributes=kinds))]


def _read_transforms(path: Path) -> None:
    from kraken_bids.models.krakencoder.published_transforms import read_transforms

    for reduction in read_transforms(path).values():
        require(reduction.n_edges > 0, "no edges")
        arrays = reduction.arrays.values()
        require(all(array.dtype == np.float32 for array in arrays), "another type")


# ---------------------------------------------------------------------------------- ITK's files


def _affine_numbers() -> list[float]:
    return [*AFFINE[:3, :3].ravel().tolist(), 1.0, 2.0, 3.0]


def _list_itk_texts() -> list[Seed]:
    numbers = " ".join(map(str, _affine_numbers()))
    head = "#Insight Transform File V1.0\n"

    def step(number: int, kind: str, moving: str, fixed: str = "0 0 0") -> str:
        return (
            f"#Transform {number}\nTransform: {kind}_double_3_3\nParameters: {moving}\n"
            f"FixedParameters: {fixed}\n"
        )

    euler = "0.1 0.2 0.3 1 2 3"
    both = step(1, "AffineTransform", numbers) + step(2, "Euler3DTransform", euler, "0 0 0 1")
    composite = "#Transform 0\nTransform: CompositeTransform_double_3_3\n\n"
    texts = (head + step(0, "AffineTransform", numbers), head + composite + both)
    return [Seed("a_xfm.txt", text.encode()) for text in texts]


def _list_itk_mats() -> list[Seed]:
    content = {
        "AffineTransform_double_3_3": np.array(_affine_numbers())[:, None],
        "fixed": np.zeros((3, 1)),
    }
    euler = {"Euler3DTransform_double_3_3": np.array([0.1, 0.2, 0.3, 1.0, 2.0, 3.0])[:, None]}
    fixed = {"fixed": np.zeros((4, 1))}
    return [Seed("a_xfm.mat", pack_mat(one, format="4")) for one in (content, euler | fixed)]


def _list_itk_h5() -> list[Seed]:
    group = "TransformGroup"
    field = np.zeros(3 * 2 * 3 * 4, np.float32)
    fixed = [2.0, 3, 4, 0, 0, 0, 2, 2, 2, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    affine = {
        f"{group}/0/TransformType": ["CompositeTransform_double_3_3"],
        f"{group}/1/TransformType": ["DisplacementFieldTransform_float_3_3"],
        f"{group}/1/TransformParameters": field,
        f"{group}/1/TransformFixedParameters": np.array(fixed),
        f"{group}/2/TransformType": ["AffineTransform_double_3_3"],
        f"{group}/2/TransformParameters": np.array(_affine_numbers()),
        f"{group}/2/TransformFixedParameters": np.zeros(3),
    }
    return [Seed("a_xfm.h5", pack_h5(affine)), Seed("a_xfm.h5", pack_h5(affine, libver="latest"))]


def _read_itk(path: Path) -> None:
    from kraken_bids.io.itk_transforms import read_transform

    for affine, field in read_transform(path):
        require(affine.shape == (4, 4) and np.isfinite(affine).all(), "affine not finite")
        if field is None:
            continue
        require(field.ndim == 4 and field.shape[3] == 3, "a field of another shape")
        require(field.dtype == np.float32, "a field of another type")
