"""The model in memory, against the formulas written out."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from kraken_bids.exceptions import CheckpointError, ConnectomeError, FlavorError
from kraken_bids.flavors import parse_flavor
from kraken_bids.models.devices import Device
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.fusion import fuse
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.row_groups import CPU_BATCH, ROWS

FC, SC = parse_flavor("FCcorr_mini_hpf"), parse_flavor("SCifod2act_mini_volnorm")


def run(model: Model, branch: str, values: np.ndarray) -> np.ndarray:
    """One branch of the network, on plain arrays."""
    whole = torch.from_numpy(np.asarray(values, np.float32))
    answer: np.ndarray = Network.from_weights(model.network).branch(branch)(whole).numpy()
    return answer


@pytest.mark.parametrize("n_subjects", [1, 5, ROWS, CPU_BATCH + 5])
@pytest.mark.parametrize("hidden", [(), (9, 7)])
def test_encoding_is_transform_then_encoder(
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    n_subjects: int,
    hidden: tuple[int, ...],
) -> None:
    """Folded or not, in one batch or more, latents are encoder(transform(x))."""
    model = make_model(hidden_sizes=hidden)
    x = rng.normal(size=(n_subjects, 28))
    expected = run(model, f"encoders.{FC.name}", model.reductions[FC].forward(x))

    np.testing.assert_allclose(model.encode(FC, x), expected, atol=2e-6)


@pytest.mark.parametrize("n_subjects", [1, 5, ROWS, CPU_BATCH + 5])
@pytest.mark.parametrize("bias", [True, False])
def test_decoding_is_decoder_then_inverse_transform(
    make_model: Callable[..., Model], rng: np.random.Generator, n_subjects: int, bias: bool
) -> None:
    """Folded or not, predictions are inverse(decoder(z))."""
    model = make_model(bias=bias)
    z = rng.normal(size=(n_subjects, 5)).astype(np.float32)
    expected = model.reductions[SC].inverse(run(model, f"decoders.{SC.name}", z))

    np.testing.assert_allclose(model.decode(SC, z), expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["zfeat", "norm", "lognorm+rownorm", "none"])
def test_transforms_without_components_work_too(rng: np.random.Generator, kind: str) -> None:
    """Per-edge, scalar, logarithmic and absent transforms give encoder(transform(x)) and back."""
    from kraken_bids.models.krakencoder.architecture import Architecture
    from kraken_bids.models.krakencoder.reduction import REQUIRED_ARRAYS

    sizes = {"input_mean": 28, "input_stdev": 28}
    arrays = {
        name: rng.uniform(0.5, 2, sizes.get(name, 1)).astype(np.float32)
        for name in REQUIRED_ARRAYS[kind]
    }
    reduction = Reduction(kind, arrays, 28)
    network = Network(Architecture((FC.name,), (28,), 4)).freeze()
    model = Model("x", "", (FC,), 4, network, {FC: reduction})  # type: ignore[call-arg]
    x = rng.uniform(1, 3, size=(70, 28)).astype(np.float32)
    z = run(model, f"encoders.{FC.name}", reduction.forward(x))
    decoded = run(model, f"decoders.{FC.name}", z)

    np.testing.assert_allclose(model.encode(FC, x), z, atol=1e-5)
    np.testing.assert_allclose(
        model.decode(FC, z), reduction.inverse(decoded), rtol=1e-3, atol=1e-4
    )


def test_group_translations_act_on_single_sources_only(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """A latent from SC is carried to FC when its source is named; a given latent is not."""
    model = make_model(groups=("fc", "sc", "fc"), group_paths=("sc->fc", "fc->sc"))
    z = rng.normal(size=(4, 5)).astype(np.float32)
    (layer,) = model.network.linears("translations.sc->fc")
    carried = np.maximum(z @ layer.weight.T + layer.bias, 0)
    carried /= np.maximum(np.linalg.norm(carried, axis=1, keepdims=True), 1e-12)

    np.testing.assert_allclose(
        model.decode(FC, z, source=SC), model.decode(FC, carried), atol=1e-6
    )
    np.testing.assert_array_equal(model.decode(SC, z, source=SC), model.decode(SC, z))


def test_absent_connectomes_stay_absent(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """A row of NaN gives a latent and a prediction of NaN, and does not touch the others."""
    model = make_model()
    x = rng.normal(size=(4, 28))
    expected = model.encode(FC, x)
    x[2] = np.nan

    z = model.encode(FC, x)

    assert np.isnan(z[2]).all()
    assert np.isnan(model.decode(SC, z)[2]).all()
    np.testing.assert_array_equal(np.delete(z, 2, 0), np.delete(expected, 2, 0))


def test_predict_fuses_what_is_there(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Predict is encode, fuse and decode in one."""
    model = make_model()
    edges = {FC: rng.normal(size=(4, 28)), SC: rng.normal(size=(4, 28))}
    fused = fuse({flavor: model.encode(flavor, x) for flavor, x in edges.items()})

    predicted = model.predict(edges)

    assert list(predicted) == list(model.flavors)
    np.testing.assert_array_equal(predicted[SC], model.decode(SC, fused))


def test_wrong_input_is_refused(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Wrong sizes, single NaN edges, unknown flavors and wrong latents are named."""
    model = make_model()
    x = rng.normal(size=(3, 28))
    x[1, 4] = np.nan
    with pytest.raises(ConnectomeError, match="1 edges that are NaN or infinite in row 1"):
        model.encode(FC, x)
    with pytest.raises(ConnectomeError, match=r"expected connectomes \[n_subjects, 28\]"):
        model.encode(FC, x[:, 1:])
    with pytest.raises(FlavorError, match="found 'FCcorr_fs86_hpf'"):
        model.encode(parse_flavor("FCcorr_fs86_hpf"), x)
    with pytest.raises(ConnectomeError, match=r"latents \[n_subjects, 5\]"):
        model.decode(FC, x)


def test_transforms_must_cover_and_fit_the_network(make_model: Callable[..., Model]) -> None:
    """A missing transform and one of another size are CheckpointErrors that name the flavor."""
    model = make_model()
    fewer = {f: r for f, r in model.reductions.items() if f != SC}
    small = {
        name: values[:3] if "comp" in name else values
        for name, values in model.reductions[SC].arrays.items()
    }

    with pytest.raises(CheckpointError, match="missing: SCifod2act_mini_volnorm"):
        Model("x", "", model.flavors, 5, model.network, fewer)  # type: ignore[call-arg]
    with pytest.raises(CheckpointError, match="found one to 3"):
        Model("x", "", model.flavors, 5, model.network, {**fewer, SC: Reduction("pca", small, 28)})  # type: ignore[call-arg]


def test_ids_do_as_well_as_flavors(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Inputs, sources and targets by id, and lists of numbers, give what flavors and arrays do."""
    model = make_model()
    x = rng.normal(size=(3, 28))
    z = model.encode(FC, x)

    np.testing.assert_array_equal(model.encode(FC.name, x.tolist()), z)
    np.testing.assert_array_equal(
        model.decode(SC.name, z, source=FC.name), model.decode(SC, z, source=FC)
    )
    assert model.n_edges(SC.name) == 28
    expected = model.predict({FC: x}, source=FC.name, targets=[SC])
    for target in (SC.name, SC, [SC.name], (SC,)):
        found = model.predict({FC.name: x}, source=FC, targets=target)
        assert list(found) == [SC]
        np.testing.assert_array_equal(found[SC], expected[SC])


def test_names_of_much_the_same_spelling_are_suggested(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """A typing error in an input, a target or a source is answered with what was meant."""
    model = make_model()
    x = rng.normal(size=(3, 28))
    for ask in (
        lambda: model.encode("FCcor_mini_hpf", x),
        lambda: model.predict({SC: x}, targets=["FCcorr_mini_hp"]),
        lambda: model.predict({FC: x}, source="FCcorr_min_hpf"),
    ):
        with pytest.raises(FlavorError, match=r"Did you mean FCcorr_mini_hpf"):
            ask()
    with pytest.raises(FlavorError, match=r"found 'fusoin'.*Did you mean fusion"):
        model.predict({FC: x}, source="fusoin")


def test_nobody_gives_arrays_without_rows(
    make_model: Callable[..., Model], device: Device
) -> None:
    """Encoding, predicting and decoding nobody are no errors."""
    model = replace(make_model(hidden_sizes=(9,)), device=device)
    nobody = np.empty((0, 28))

    assert model.encode(FC, nobody).shape == (0, 5)
    assert model.decode(SC, np.empty((0, 5))).shape == (0, 28)
    assert model.predict({FC: nobody}, targets=SC)[SC].shape == (0, 28)


def test_hidden_numbers_are_missing_ones(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """A row that a mask hides is absent; one that it hides in part is refused."""
    model, x = make_model(), rng.normal(size=(3, 28))
    mask = np.zeros((3, 28), bool)
    mask[1] = True

    latents = model.encode(FC, np.ma.masked_array(x, mask))

    assert np.isnan(latents[1]).all()
    np.testing.assert_allclose(latents[[0, 2]], model.encode(FC, x[[0, 2]]), atol=1e-6)
    mask[0, 3] = True
    with pytest.raises(ConnectomeError, match="1 edges that are NaN"):
        model.encode(FC, np.ma.masked_array(x, mask))


def test_what_does_not_belong_together_is_refused(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """An adaptation of another model, inputs of other subjects, latents that are infinite."""
    model, x = make_model(), rng.normal(size=(12, 28))
    means = {FC: (x.mean(axis=0), len(x))}
    other = fit_adaptation(means, model.training_means(), model_sha256="ef")

    with pytest.raises(CheckpointError, match="fitted for another"):
        model.encode(FC, x, other)
    with pytest.raises(ConnectomeError, match=f"{FC}: 12, {SC}: 5"):
        model.predict({FC: x, SC: x[:5]})
    with pytest.raises(ConnectomeError, match=f"{FC}: 12, {SC}: 5"):
        fuse({FC: x, SC: x[:5]})
    for values in (x.astype(object), x.astype(str), np.full(x.shape, 1j)):
        with pytest.raises(ConnectomeError, match="array of numbers"):
            model.encode(FC, values)
    with pytest.raises(ConnectomeError, match="infinite"):
        model.decode(FC, np.full((1, 5), np.inf))


def test_tables_whose_rows_bear_other_names_are_not_paired(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Rows of pandas have names; those that count rows only are as good as none."""
    model = make_model()
    one, two = model.flavors[:2]
    names = ["a", "b", "c"]
    first = pd.DataFrame(rng.normal(size=(3, model.n_edges(one))), index=names)
    second = pd.DataFrame(rng.normal(size=(3, model.n_edges(two))), index=names)
    together = model.predict({one: first, two: second}, targets=one)[one]
    counted = model.predict({one: first, two: second.reset_index(drop=True)}, targets=one)[one]
    np.testing.assert_array_equal(counted, together)
    with pytest.raises(ConnectomeError, match="'c' in row 0"):
        model.predict({one: first, two: second[::-1]})


def test_a_model_travels_without_what_it_makes_again(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Pickles and copies give the same numbers, and do not grow by use."""
    model, x = make_model(), rng.normal(size=(3, 28))
    fresh = len(pickle.dumps(model))
    z = model.encode(FC, x)

    assert len(pickle.dumps(model)) == fresh
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.encode(FC, x), z)


def test_every_device_gives_the_same_numbers(
    make_model: Callable[..., Model], rng: np.random.Generator, device: Device
) -> None:
    """Latents, predictions and folded maps agree to float32 with those of numpy."""
    cpu = make_model(hidden_sizes=(9,))
    x = rng.normal(size=(80, 28))
    x[3] = np.nan
    z = cpu.encode(FC, x)
    model = replace(cpu, device=device)

    np.testing.assert_allclose(model.encode(FC, x), z, atol=1e-5)
    np.testing.assert_allclose(model.decode(SC, z), cpu.decode(SC, z), atol=1e-4)
    for name, values in cpu.fold_maps(FC).items():
        np.testing.assert_allclose(model.fold_maps(FC)[name], values, atol=1e-6)


def test_latents_are_translated_on_every_device(
    make_model: Callable[..., Model], rng: np.random.Generator, device: Device
) -> None:
    """A model that carries latents between groups predicts the same everywhere."""
    paths = ("sc->fc", "fc->sc")
    cpu = make_model(groups=("fc", "sc", "fc"), group_paths=paths, group_sizes=(7,))
    edges = {FC: rng.normal(size=(9, 28)), SC: rng.normal(size=(9, 28))}
    model = replace(cpu, device=device)

    for source in ("fusion", SC):
        found = model.predict(edges, source=source, targets=FC)[FC]
        np.testing.assert_allclose(
            found, cpu.predict(edges, source=source, targets=FC)[FC], atol=1e-4
        )
