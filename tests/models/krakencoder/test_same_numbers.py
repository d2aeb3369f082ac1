"""A subject's numbers are the same, whoever else is in the run and in what blocks.

To the last bit where the library that multiplies rounds a row alike at every place of a block, and
to 1e-6 where it does not (OpenBLAS's kernels for Haswell and Zen); ``test_kernels.py`` runs these
statements under each kernel. On a GPU they hold to float32's rounding: its libraries choose by
shape.
"""

from functools import lru_cache

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.devices import CPU, Device
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.row_groups import CPU_BATCH, GROUP, ROWS, block_size

FLAVOR = parse_flavor("FCcorr_fs86_hpf")
N_EDGES, N_COMPONENTS, N_LATENT = 9001, 40, 24
"""More than two chunks of edges, and a rest."""


def build(kind: str, device: Device = CPU, *, hidden: tuple[int, ...] = ()) -> Model:
    """Build a model of one flavor with random weights."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    size = N_COMPONENTS if kind == "pca" else N_EDGES
    arrays = {
        "pca": {
            "pca_components": rng.standard_normal((N_COMPONENTS, N_EDGES)) / 95,
            "pca_input_mean": rng.random(N_EDGES),
            "input_normscale": np.full(1, 30.0),
            "output_normscale": np.full(1, 100.0),
        },
        "zfeat": {"input_mean": rng.random(N_EDGES), "input_stdev": rng.random(N_EDGES) + 0.5},
        "none": {},
    }[kind]
    reduction = Reduction(kind, {k: v.astype(np.float32) for k, v in arrays.items()}, N_EDGES)
    network = Network(Architecture((FLAVOR.name,), (size,), N_LATENT, hidden)).freeze()
    return Model("x", "", (FLAVOR,), N_LATENT, network, {FLAVOR: reduction}, device=device)


@pytest.fixture(scope="module")
def edges() -> np.ndarray:
    return np.random.default_rng(1).random((CPU_BATCH + 9, N_EDGES))


@lru_cache(maxsize=1)
def rounds_alike() -> bool:
    """Whether one row, repeated, gives equal results at every place of a block."""
    rng = np.random.default_rng(0)
    rows = np.tile(rng.standard_normal(96, np.float32), (ROWS, 1))
    matrix = rng.standard_normal((96, 64), np.float32)
    with threadpool_limits(1, user_api="blas"):
        products = (rows @ matrix, rows @ np.ascontiguousarray(matrix.T).T)
    return all((product == product[0]).all() for product in products)


def check_same(found: np.ndarray, expected: np.ndarray, device: Device) -> None:
    if device.is_gpu:
        np.testing.assert_allclose(found, expected, atol=2e-5)
    elif rounds_alike():
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.nanmax(np.abs(expected)))


def run(model: Model, edges: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Latents and predictions, some subjects at a time."""
    blocks = [edges[start : start + size] for start in range(0, len(edges), size)]
    latents = np.concatenate([model.encode(FLAVOR, block) for block in blocks])
    starts = range(0, len(latents), size)
    return latents, np.concatenate([model.decode(FLAVOR, latents[s : s + size]) for s in starts])


@pytest.mark.parametrize("kind", ["pca", "zfeat"])
@pytest.mark.parametrize("size", [1, 3, 7, ROWS, 64])
def test_block_sizes_change_nothing(
    edges: np.ndarray, size: int, kind: str, device: Device
) -> None:
    """One subject, a few, or many at a time: the same latents and predictions."""
    model = build(kind, device)
    some = edges[:70]
    whole = run(model, some, len(some))

    for found, expected in zip(run(model, some, size), whole, strict=True):
        check_same(found, expected, device)


@pytest.mark.parametrize("shape", [(4096, 128), (129, 4096), (1933, 128), (96, 40)])
def test_a_product_of_many_rows_rounds_each_as_a_group_does(shape: tuple[int, int]) -> None:
    """To the last bit under every kernel: as many rows as are multiplied at once, or a group."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((CPU_BATCH, shape[0]), np.float32)
    matrix = rng.standard_normal(shape, np.float32)
    step = block_size(rows, matrix)
    assert step == (ROWS if min(shape) > 100 and max(shape) > 4000 else GROUP)

    with threadpool_limits(1, user_api="blas"):
        large, small = (
            np.concatenate([rows[start : start + n] @ matrix for start in range(0, CPU_BATCH, n)])
            for n in (step, GROUP)
        )

    np.testing.assert_array_equal(large, small)


def test_place_and_company_change_nothing(edges: np.ndarray, device: Device) -> None:
    """In another order, with others beside it, some of whom are absent."""
    model = build("pca", device)
    order = np.random.default_rng(2).permutation(len(edges))
    latents, predicted = run(model, edges, len(edges))
    shuffled = edges[order].astype(np.float64)
    shuffled[::5] = np.nan

    found, again = run(model, shuffled, len(edges))

    there = np.arange(len(edges)) % 5 != 0
    check_same(found[there], latents[order][there], device)
    check_same(again[there], predicted[order][there], device)
    assert np.isnan(found[~there]).all()


def test_models_with_hidden_layers_keep_to_rounding(edges: np.ndarray, device: Device) -> None:
    """Torch computes them, and may choose by the place in a block: equal to 1e-6."""
    model = build("pca", device, hidden=(30,))
    latents, predicted = run(model, edges[:70], 70)

    found, again = run(model, edges[:70], 7)

    np.testing.assert_allclose(found, latents, atol=2e-5 if device.is_gpu else 1e-6)
    np.testing.assert_allclose(again, predicted, atol=1e-6 * np.abs(predicted).max() * 20)


def test_threads_change_nothing(edges: np.ndarray) -> None:
    """However many threads multiply and fold, bits are the same."""
    answers = []
    for n_threads in (1, 2, 3, 5):
        with threadpool_limits(n_threads, user_api="blas"):
            answers.append(run(build("pca"), edges[:40], 40))

    for latents, predicted in answers[1:]:
        np.testing.assert_array_equal(latents, answers[0][0])
        np.testing.assert_array_equal(predicted, answers[0][1])


@pytest.mark.parametrize("kind", ["pca", "zfeat", "none"])
@pytest.mark.parametrize("hidden", [(), (30,)])
def test_folded_maps_are_transform_and_network_in_float64(
    edges: np.ndarray, kind: str, hidden: tuple[int, ...], device: Device
) -> None:
    """Against the formulas in float64: latents to 1e-6, predictions to 1e-5 of their scale."""
    model = build(kind, device, hidden=hidden)
    network = Network.from_weights(model.network).double()
    affine = model.reductions[FLAVOR].to_affine()
    x = (edges[:9] - affine.center) * affine.scale
    matrix = np.eye(1) if affine.matrix is None else affine.matrix.astype(np.float64)
    reduced = torch.from_numpy(x @ matrix.T if kind == "pca" else x)
    z, y = (part.numpy() for part in network(reduced, FLAVOR.name, FLAVOR.name))
    y /= affine.scale
    expected = (y @ matrix if kind == "pca" else y) + affine.center

    latents = model.encode(FLAVOR, edges[:9])
    predicted = model.decode(FLAVOR, z.astype(np.float32))

    np.testing.assert_allclose(latents, z, atol=1e-6)
    np.testing.assert_allclose(predicted, expected, atol=1e-5 * np.abs(expected).max())


def test_a_large_mean_costs_no_digits(edges: np.ndarray) -> None:
    """Adapting after projection is exact where edges are far larger than their spread."""
    from kraken_bids.models.krakencoder.adaptation import apply_adaptation, fit_adaptation

    model = build("pca", hidden=())
    flavors: dict[Flavor, np.ndarray] = {FLAVOR: edges[:20] * 3 + 50}
    means = {f: (x.mean(axis=0), len(x)) for f, x in flavors.items()}
    adaptation = fit_adaptation(means, model.training_means(), "meanfit+meanshift")

    after = model.encode(FLAVOR, flavors[FLAVOR], adaptation)
    before = model.encode(FLAVOR, apply_adaptation(flavors[FLAVOR], adaptation.flavors[FLAVOR]))

    # 2e-6 with fused multiply-add, 3.4e-6 under kernels of processors without (Sandybridge)
    np.testing.assert_allclose(after, before, atol=5e-6)
