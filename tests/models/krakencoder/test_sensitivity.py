"""Derivatives of predictions, against central differences of the same numbers in float64."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.adaptation import Adaptation, FlavorAdaptation, fit_adaptation
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.reduction import REQUIRED_ARRAYS, Reduction, fit_reduction
from kraken_bids.models.krakencoder.sensitivity import Score, ScorePath

FC, SC = parse_flavor("FCcorr_mini_hpf"), parse_flavor("SCifod2act_mini_volnorm")
OTHER = parse_flavor("FCpcorr_other_hpf")
GROUPS: dict[str, Any] = {
    "groups": ("fc", "sc", "fc"), "group_paths": ("sc->fc", "fc->sc"), "group_sizes": (6,),
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "published": {},
    "not scaled": {"latent_normalize": False},
    "no bias": {"bias": False},
    "hidden, ReLU": {"hidden_sizes": (9, 7)},
    "hidden, leaky": {"hidden_sizes": (9,), "negative_slope": 0.1},
    "hidden, tanh": {"hidden_sizes": (9, 8, 7), "alternate_tanh": True},
    "hidden, linear": {"hidden_sizes": (9,), "skip_activation": True},
    "sigmoid": {"latent_activation": "sigmoid"},
    "squashed": {"latent_activation": "tanh", "hidden_sizes": (9,)},
    "between groups": GROUPS | {"negative_slope": 0.2},
    "between groups, linear": GROUPS | {"group_activation": False},
}
Inputs = Mapping[Flavor, NDArray[np.floating]]


@pytest.fixture
def person(rng: np.random.Generator) -> Inputs:
    return {FC: rng.normal(size=28), SC: rng.normal(size=28) + 1, OTHER: rng.normal(size=45)}


@pytest.fixture
def adapt(rng: np.random.Generator) -> Callable[[Model], Adaptation]:
    """Fit an adaptation on means that are not the training means."""

    def fit(model: Model) -> Adaptation:
        means = {
            flavor: (0.6 * mean + 0.1 * rng.normal(size=mean.size) + 0.2, 12)
            for flavor, mean in model.training_means().items()
        }
        return fit_adaptation(means, model.training_means(), judges=False)

    return fit


def value_of(path: ScorePath, inputs: Inputs) -> float:
    return replace(path, inputs=inputs).explain().value


def check_by_differences(path: ScorePath, *, step: float = 1e-4, each: int = 1) -> None:
    """Compare derivatives, all or each so many, with the central difference of fourth order."""
    found = path.explain()
    assert not found.kinks
    for flavor, gradient in found.gradients.items():
        edges = range(0, len(gradient), each)
        expected = np.empty(len(edges))
        for k, edge in enumerate(edges):
            ends = []
            for h in (-2 * step, -step, step, 2 * step):
                moved = np.array(path.inputs[flavor], np.float64)
                moved[edge] += h
                ends.append(value_of(path, {**path.inputs, flavor: moved}))
            expected[k] = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
        assert np.abs(expected).max() > 0
        error = np.abs(gradient[::each] - expected).max() / np.abs(expected).max()
        assert error < 1e-6, (flavor, error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fusion", [(SC,), (FC, SC, OTHER)])
def test_derivatives_are_central_differences(
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    person: Inputs,
    adapt: Callable[[Model], Adaptation],
    *,
    kind: str,
    fusion: tuple[Flavor, ...],
) -> None:
    """Of every kind of network, adapted, for one input and for several; per edge as given.

    Of several inputs, which take longer, each fifth edge is compared.
    """
    model = make_model(**KINDS[kind])
    inputs = {flavor: person[flavor] for flavor in fusion}
    score = Score(FC, rng.normal(size=28))
    path = ScorePath(model, score, inputs, adapt(model))
    check_by_differences(path, each=1 if len(fusion) == 1 else 5)


@pytest.mark.parametrize("kind", sorted(REQUIRED_ARRAYS))
def test_derivatives_hold_for_every_transform(
    make_model: Callable[..., Model], rng: np.random.Generator, kind: str
) -> None:
    """Those of the input and of the target."""
    per_edge = {"input_mean", "input_stdev"} if "feat" in kind else set()
    arrays = {
        name: rng.uniform(0.5, 2, 28 if name in per_edge else 1).astype(np.float32)
        for name in REQUIRED_ARRAYS[kind]
    }
    for name in set(arrays) & {"pca_components", "tsvd_components"}:
        arrays[name] = np.linalg.qr(rng.normal(size=(28, 6)))[0].T.astype(np.float32)
    if kind == "pca":
        arrays["pca_input_mean"] = rng.normal(size=28).astype(np.float32)
    width = 6 if kind in {"pca", "tsvd"} else 28
    model = make_model(input_sizes=(width,) * 2 + (6,)) if width == 6 else None
    model = model or _with_widths(make_model)
    reductions = dict(model.reductions) | {f: Reduction(kind, arrays, 28) for f in (FC, SC)}
    model = replace(model, reductions=reductions)
    person = {SC: rng.uniform(2.5, 3, 28)}
    check_by_differences(ScorePath(model, Score(FC, rng.normal(size=28)), person))


def _with_widths(make_model: Callable[..., Model]) -> Model:
    """Model whose first two flavors enter the network as 28 edges."""
    wide = make_model().reductions | {flavor: Reduction("none", {}, 28) for flavor in (FC, SC)}
    from kraken_bids.models.krakencoder.architecture import Architecture
    from kraken_bids.models.krakencoder.network import Network

    names = (FC.name, SC.name, OTHER.name)
    network = Network(Architecture(names, (28, 28, 6), 5)).freeze()
    return Model("wide", "", (FC, SC, OTHER), 5, network, wide)


@pytest.mark.parametrize("kind", ["none", "cfeat", "pca4"])
def test_fitted_transforms_are_differentiated_too(
    make_model: Callable[..., Model], rng: np.random.Generator, kind: str
) -> None:
    """As training fits them."""
    rows = rng.normal(size=(20, 28)) + 2
    model = _with_widths(make_model) if kind != "pca4" else make_model()
    if kind == "pca4":
        kind = "pca6"
    reductions = dict(model.reductions) | {f: fit_reduction(rows, kind) for f in (FC, SC)}
    model = replace(model, reductions=reductions)
    path = ScorePath(model, Score(FC, rng.normal(size=28)), {SC: rows[0]})
    check_by_differences(path)


def test_a_latent_and_a_scaled_fusion_are_explained_too(
    make_model: Callable[..., Model], rng: np.random.Generator, person: Inputs
) -> None:
    """With the weights on latents, and with fused latents scaled to unit length."""
    model = make_model()
    check_by_differences(ScorePath(model, Score(None, rng.normal(size=5)), person))
    score = Score(OTHER, rng.normal(size=45))
    check_by_differences(ScorePath(model, score, person, renormalize=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_what_the_model_predicts(
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    person: Inputs,
    adapt: Callable[[Model], Adaptation],
    kind: str,
) -> None:
    """To the precision of float32."""
    model, weights = make_model(**KINDS[kind]), rng.normal(size=28)
    adaptation = replace(adapt(model), model_sha256=model.sha256)
    rows = {flavor: edges[None] for flavor, edges in person.items()}
    predicted = model.predict(rows, targets=FC, adaptation=adaptation)[FC][0] @ weights
    value = ScorePath(model, Score(FC, weights), person, adaptation).explain().value
    assert value == pytest.approx(float(predicted), rel=1e-5, abs=1e-4)


def test_edges_that_a_person_lacks_have_no_derivative_and_count_as_the_mean(
    make_model: Callable[..., Model], person: Inputs, adapt: Callable[[Model], Adaptation]
) -> None:
    """The others have the one at the completed connectome."""
    model = make_model()
    adaptation = adapt(model)
    fit = adaptation.flavors[SC]
    given = np.array(person[SC])
    given[[3, 9]] = np.nan
    mean = model.training_means()[SC].astype(np.float64)
    filled = np.where(np.isnan(given), (mean - fit.shift) / fit.b0, given)
    score = Score(FC, np.ones(28))
    found = ScorePath(model, score, {SC: given}, adaptation).explain()
    whole = ScorePath(model, score, {SC: filled}, adaptation).explain()
    assert np.flatnonzero(np.isnan(found.gradients[SC])).tolist() == [3, 9]
    assert found.value == pytest.approx(whole.value, rel=1e-12)
    kept = np.isfinite(given)
    np.testing.assert_allclose(found.gradients[SC][kept], whole.gradients[SC][kept], rtol=1e-9)


@pytest.mark.parametrize("kind", ["published", "hidden, ReLU", "between groups"])
def test_a_knock_out_is_the_prediction_with_edges_at_the_training_mean(
    make_model: Callable[..., Model],
    rng: np.random.Generator,
    person: Inputs,
    adapt: Callable[[Model], Adaptation],
    kind: str,
) -> None:
    """In one input, or in several at once; the others stay."""
    model = make_model(**KINDS[kind])
    adaptation, score = adapt(model), Score(FC, rng.normal(size=28))
    path = ScorePath(model, score, person, adaptation)
    masks = [{SC: rng.random(28) < 0.3}, {FC: rng.random(28) < 0.5, OTHER: rng.random(45) < 0.2}]
    changes = path.knock_out(masks)
    for mask, change in zip(masks, changes, strict=True):
        altered = dict(person)
        for flavor, chosen in mask.items():
            fit = adaptation.flavors[flavor]
            mean = model.training_means()[flavor].astype(np.float64)
            altered[flavor] = np.where(chosen, (mean - fit.shift) / fit.b0, person[flavor])
        expected = value_of(path, altered) - path.explain().value
        assert change == pytest.approx(expected, rel=1e-7)


def test_without_a_training_mean_nothing_is_knocked_out(
    make_model: Callable[..., Model], person: Inputs
) -> None:
    """And it says what is missing."""
    model = make_model()
    arrays = {k: v for k, v in model.reductions[SC].arrays.items() if k != "pca_input_mean"}
    arrays["tsvd_components"] = arrays.pop("pca_components")
    reductions = dict(model.reductions) | {SC: Reduction("tsvd", arrays, 28)}
    path = ScorePath(replace(model, reductions=reductions), Score(None, np.ones(5)), person)
    with pytest.raises(ConnectomeError, match=f"keeps the training mean of {SC}"):
        path.knock_out([{SC: np.ones(28, np.bool_)}])


def test_units_at_their_bend_are_named(make_model: Callable[..., Model], person: Inputs) -> None:
    """A layer of zeros puts every unit there."""
    model = make_model(hidden_sizes=(9,), bias=False)
    arrays = dict(model.network.arrays)
    name = f"decoders.{FC.name}.linears.0.weight"
    arrays[name] = np.zeros_like(arrays[name])
    model = replace(model, network=Weights(model.network.architecture, arrays))
    found = ScorePath(model, Score(FC, np.ones(28)), {SC: person[SC]}).explain()
    assert len(found.kinks) == 1
    assert f"9 unit(s) of decoders.{FC.name}" in found.kinks[0]


@pytest.mark.parametrize("hidden", [(), (9,)])
def test_a_latent_without_length_is_refused(
    make_model: Callable[..., Model], person: Inputs, hidden: tuple[int, ...]
) -> None:
    """It has no direction."""
    model = make_model(bias=False, hidden_sizes=hidden)
    arrays = dict(model.network.arrays)
    name = f"encoders.{SC.name}.linears.{len(hidden)}.weight"
    arrays[name] = np.zeros_like(arrays[name])
    model = replace(model, network=Weights(model.network.architecture, arrays))
    with pytest.raises(ConnectomeError, match="that has a direction"):
        ScorePath(model, Score(FC, np.ones(28)), {SC: person[SC]}).explain()


def test_edges_that_a_logarithm_sets_to_zero_are_named(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    """Their derivative is zero."""
    arrays = {name: np.ones(1, np.float32) for name in REQUIRED_ARRAYS["lognorm+rownorm"]}
    model = _with_widths(make_model)
    reductions = dict(model.reductions) | {SC: Reduction("lognorm+rownorm", arrays, 28)}
    edges = rng.uniform(2, 3, 28)
    edges[:4], edges[4] = 0.5, 1.0
    path = ScorePath(replace(model, reductions=reductions), Score(FC, np.ones(28)), {SC: edges})
    found = path.explain()
    assert found.kinks[0].startswith("4 edge(s) lie below 1,")
    assert found.kinks[1].startswith("1 edge(s) lie exactly at 1,")
    assert not found.gradients[SC][:4].any()
    assert found.gradients[SC][5:].all()


def test_no_inputs_and_identity_adaptations(
    make_model: Callable[..., Model], person: Inputs
) -> None:
    """An adaptation of mode none changes nothing."""
    from kraken_bids.exceptions import FlavorError

    model, score = make_model(), Score(FC, np.ones(28))
    with pytest.raises(FlavorError, match="at least one input"):
        ScorePath(model, score, {})
    mean = model.training_means()[SC]
    none = FlavorAdaptation("none", mean, mean, b0=1.0, b1=0.0, r2=1.0, n_subjects=3)
    adaptation = Adaptation("", "none", {SC: none})
    inputs = {SC: person[SC]}
    assert value_of(ScorePath(model, score, inputs, adaptation), inputs) == value_of(
        ScorePath(model, score, inputs), inputs
    )
