"""Reductions: transforms between edges and a network's input, fitted on training subjects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.flavors import Flavor
from kraken_bids.io.stored_rows import Rows
from kraken_bids.models.krakencoder.principal_components import compute_mean, fit_components

Array = NDArray[np.float32]

OUTPUT_NORM = 100.0
"""Frobenius norm that the reduced training data are scaled to, as in the published models."""

REQUIRED_ARRAYS: dict[str, tuple[str, ...]] = {
    "pca": ("pca_components", "pca_input_mean", "input_normscale", "output_normscale"),
    "tsvd": ("tsvd_components", "input_normscale", "output_normscale"),
    "cfeat": ("input_mean",),
    "cfeat+norm": ("input_mean", "input_rownorm_mean"),
    "cfeat+varnorm": ("input_mean", "input_variance"),
    "zfeat": ("input_mean", "input_stdev"),
    "zscore": ("input_mean", "input_stdev"),
    "norm": ("input_normscale", "output_normscale"),
    "varnorm": ("input_variance",),
    "zscore+rownorm": ("input_mean", "input_stdev", "input_rownorm_mean"),
    "lognorm+rownorm": (
        "input_minimum_nonzero",
        "input_logmean_nonzero",
        "input_logstdev_nonzero",
        "output_logmean_nonzero",
        "output_logstdev_nonzero",
        "input_rownorm_mean",
    ),
    "none": (),
}
"""Every published type of transform, with the statistics that it needs."""

COMPONENTS = {"pca": "pca_components", "tsvd": "tsvd_components"}


@dataclass(frozen=True)
class AffineReduction:
    """``forward(x) = scale * (x - center)``, then times ``matrix.T`` where there is one."""

    center: Array
    """``[n_edges]`` or ``[1]``."""
    scale: Array
    """``[n_edges]`` or ``[1]``; ``[1]`` where there is a matrix."""
    matrix: Array | None
    """Orthonormal rows ``[n_components, n_edges]``, or None when edges stay edges."""


@dataclass(frozen=True)
class Reduction:
    """The transform of one flavor; all statistics are float32."""

    kind: str
    """A key of :data:`REQUIRED_ARRAYS`."""
    arrays: Mapping[str, Array]
    """Its statistics, named as in the published files."""
    n_edges: int
    """Length of an edge vector."""

    def __post_init__(self) -> None:
        if self.kind not in REQUIRED_ARRAYS:
            raise CheckpointError(
                f"expected a transform among {', '.join(REQUIRED_ARRAYS)}; found {self.kind!r}. "
                "Use the transform files that were published with the model."
            )
        missing = [name for name in REQUIRED_ARRAYS[self.kind] if name not in self.arrays]
        if missing:
            raise CheckpointError(
                f"expected a {self.kind} transform with {', '.join(REQUIRED_ARRAYS[self.kind])}; "
                f"it lacks {', '.join(missing)}. Use the transform files published with the model."
            )
        for name in REQUIRED_ARRAYS[self.kind]:
            shape = self.arrays[name].shape
            if name not in COMPONENTS.values() and shape[-1:] not in {(1,), (self.n_edges,)}:
                raise CheckpointError(
                    f"expected {name} for 1 or {self.n_edges} edges; found the shape "
                    f"{list(shape)}. Use the transform files published with the model."
                )
        components = self.arrays[COMPONENTS[self.kind]] if self.kind in COMPONENTS else None
        if components is not None and components.shape[1:] != (self.n_edges,):
            raise CheckpointError(
                f"expected components [n_components, {self.n_edges}]; found the shape "
                f"{list(components.shape)}. Use the transform files published with the model."
            )

    @property
    def n_components(self) -> int:
        """Length of a reduced connectome."""
        name = COMPONENTS.get(self.kind)
        return int(self.arrays[name].shape[0]) if name else self.n_edges

    @property
    def is_affine(self) -> bool:
        """Whether it can be folded with a linear layer."""
        return self.kind != "lognorm+rownorm"

    @property
    def training_mean(self) -> Array | None:
        """Mean connectome of the training subjects ``[n_edges]``; None where it was not kept."""
        for name in ("pca_input_mean", "input_mean", "training_mean"):
            mean = self.arrays.get(name)
            if mean is not None and mean.size == self.n_edges:
                return mean.reshape(-1)
        return None

    def to_affine(self) -> AffineReduction:
        """Take the transform apart into center, scale and matrix.

        Raises
        ------
        CheckpointError
            If it is not affine.
        """
        if not self.is_affine:
            raise CheckpointError(f"a {self.kind} transform has no affine form.")
        center = self.arrays.get("pca_input_mean", self.arrays.get("input_mean"))
        if center is None or self.kind in {"tsvd", "norm", "varnorm", "none"}:
            center = np.zeros(1, np.float32)
        name = COMPONENTS.get(self.kind)
        matrix = self.arrays[name] if name else None
        return AffineReduction(center.reshape(-1), self._scale(), matrix)

    def forward(self, edges: NDArray[np.floating]) -> Array:
        """Edges to the network's input.

        Parameters
        ----------
        edges : ndarray of shape (n_subjects, n_edges)

        Returns
        -------
        ndarray of shape (n_subjects, n_components)
        """
        x = np.asarray(edges, np.float32)
        if not self.is_affine:
            return self._log_forward(x)
        affine = self.to_affine()
        centered = x - affine.center
        reduced = centered @ affine.matrix.T if affine.matrix is not None else centered
        return np.asarray(reduced * affine.scale, np.float32)

    def inverse(self, values: NDArray[np.floating]) -> Array:
        """Edges ``[n_subjects, n_edges]`` of network outputs ``[n_subjects, n_components]``."""
        y = np.asarray(values, np.float32)
        if not self.is_affine:
            return self._log_inverse(y)
        affine = self.to_affine()
        unscaled = y / affine.scale
        edges = unscaled @ affine.matrix if affine.matrix is not None else unscaled
        return np.asarray(edges + affine.center, np.float32)

    def _scale(self) -> Array:
        a = self.arrays
        one = np.ones(1, np.float32)
        divisor = one
        for name in ("input_rownorm_mean", "input_variance", "input_stdev", "input_normscale"):
            if name in REQUIRED_ARRAYS[self.kind]:
                divisor = divisor * a[name].reshape(-1)
        factor = a["output_normscale"].reshape(-1) if "output_normscale" in a else one
        return np.asarray(factor / divisor, np.float32)

    def _log_forward(self, x: Array) -> Array:
        a = {name: float(values.reshape(-1)[0]) for name, values in self.arrays.items()}
        low = a["input_minimum_nonzero"]
        z = (np.log10(np.maximum(x, low)) - a["input_logmean_nonzero"]) / a[
            "input_logstdev_nonzero"
        ]
        scaled = z * a["output_logstdev_nonzero"] + a["output_logmean_nonzero"]
        return np.asarray(scaled * (x >= low) / a["input_rownorm_mean"], np.float32)

    def _log_inverse(self, y: Array) -> Array:
        a = {name: float(values.reshape(-1)[0]) for name, values in self.arrays.items()}
        z = (y * a["input_rownorm_mean"] - a["output_logmean_nonzero"]) / a[
            "output_logstdev_nonzero"
        ]
        return np.asarray(
            10 ** (z * a["input_logstdev_nonzero"] + a["input_logmean_nonzero"]), np.float32
        )


def check_reductions(
    reductions: Mapping[Flavor, Reduction], sizes: Mapping[Flavor, int], model: str
) -> None:
    """Check that there are transforms for the inputs of a network, and that they fit.

    Parameters
    ----------
    sizes : mapping of Flavor to int
        Length of each input of the network.
    model : str
        Its name, for the message.

    Raises
    ------
    CheckpointError
        If one is missing or makes another number of values.
    """
    missing = [flavor.name for flavor in sizes if flavor not in reductions]
    if missing:
        raise CheckpointError(
            f"expected transforms for all {len(sizes)} flavors of {model}; missing: "
            f"{', '.join(missing)}. Give the kraken_ioxfm_* files that hold them with "
            "--transforms."
        )
    for flavor, size in sizes.items():
        found = reductions[flavor].n_components
        if found != size:
            raise CheckpointError(
                f"expected a transform of {flavor} to {size} values, which the network of "
                f"{model} takes; found one to {found}. Give the transforms that were published "
                "with this checkpoint."
            )


def fit_reduction(edges: Rows, kind: str) -> Reduction:
    """Fit a transform on training subjects: ``pca256`` (any number), ``cfeat`` or ``none``.

    Parameters
    ----------
    edges : array of shape (n_subjects, n_edges)
        Training subjects only; in memory, or on disk and read in blocks of subjects.
    kind : str
        ``pcaK`` or ``pcK`` with K components, ``cfeat`` (mean removed) or ``none``.

    Raises
    ------
    CheckpointError
        If ``kind`` is none of these.
    ConnectomeError
        If there are fewer subjects than components, or they are all alike.
    """
    n_components = parse_transform(kind)
    if n_components is not None:
        return fit_pca(edges, n_components)
    mean = np.asarray(compute_mean(edges), np.float32)
    if kind.lower() == "cfeat":
        return Reduction("cfeat", {"input_mean": mean}, edges.shape[1])
    # kept for adaptation, which needs the training mean whatever the transform
    return Reduction("none", {"training_mean": mean}, edges.shape[1])


def parse_transform(kind: str) -> int | None:
    """Count the components of ``pcaK`` or ``pcK``; None for ``cfeat`` and ``none``.

    Raises
    ------
    CheckpointError
        If it is none of these.
    """
    found = re.fullmatch(r"pca?([1-9][0-9]{0,5})|cfeat|none", kind.lower())
    if found is None:
        raise CheckpointError(
            f"expected a transform pcaK (pca256 …), cfeat or none; found {kind!r}."
        )
    return int(found[1]) if found[1] else None


def fit_pca(edges: Rows, n_components: int) -> Reduction:
    """Principal components of the training subjects, scaled to Frobenius norm 100.

    Parameters
    ----------
    edges : array of shape (n_subjects, n_edges)
        In memory, or on disk and read in blocks of subjects.
    n_components : int
        At most the number of subjects.

    Raises
    ------
    ConnectomeError
        If there are fewer subjects than components, or they are all alike.

    Source: the published recipe, scikit-learn's PCA.
    """
    found = fit_components(edges, n_components)
    norm = np.linalg.norm(found.singular_values)
    arrays = {
        "pca_components": found.components,
        "pca_input_mean": found.mean,
        "input_normscale": np.atleast_1d(norm),
        "output_normscale": np.atleast_1d(OUTPUT_NORM),
        "pca_explained_variance_ratio": np.atleast_1d(norm**2 / found.total),
    }
    return Reduction(
        "pca",
        {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()},
        edges.shape[1],
    )
