"""The ladder takes the rung that a cohort supports, and folds it into a model exactly."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ortho_group

from kraken_bids.flavors import parse_flavor
from kraken_bids.models.devices import CPU
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.changes import Changes, change_network
from kraken_bids.models.krakencoder.finetuning import (
    DECODER,
    DECODER_BIAS,
    LATENT_MAP,
    MEAN_SHIFT,
    NONE,
    RUNGS,
    Tuner,
)
from kraken_bids.models.krakencoder.ladder import climb_ladder, estimate_mean
from kraken_bids.models.krakencoder.layers import Layers

Matrix = NDArray[np.float64]
NAMES = ("FCcorr_a_hpf", "FCpcorr_b_hpf", "SCx_a_count", "SCy_b_count")
N_LATENT, N_SCORES = 12, 16
PLAIN = {"latent_size": N_LATENT, "dropout": 0.0}


def make_network(rng: np.random.Generator, n_hidden: int = 0) -> tuple[Weights, dict[str, Matrix]]:
    """Network whose decoders undo its encoders near one latent, and the maps that it learned."""
    architecture = Architecture(
        NAMES, (N_SCORES,) * 4, hidden_sizes=(n_hidden,) if n_hidden else (), **PLAIN
    )
    arrays, maps = {}, {}
    axis = np.eye(N_LATENT)[0]
    for name in NAMES:
        maps[name] = rng.normal(size=(N_LATENT, N_SCORES)) * np.arange(N_LATENT)[:, None] ** 0.0
        maps[name][0] = 0  # nobody differs along the mean latent
        encoder = [(np.linalg.pinv(maps[name]).T * 0.1, axis)]
        decoder = [(10 * maps[name].T, np.zeros(N_SCORES))]
        if n_hidden:
            eye = np.eye(n_hidden, N_SCORES)
            encoder = [(eye, np.full(n_hidden, 50.0)), (encoder[0][0] @ eye.T, axis)]
            encoder[1] = (encoder[1][0], axis - encoder[1][0] @ np.full(n_hidden, 50.0))
            decoder = [
                (eye @ decoder[0][0], np.full(n_hidden, 50.0)),
                (eye.T, np.full(N_SCORES, -50.0)),
            ]
        for kind, layers in (("encoders", encoder), ("decoders", decoder)):
            for k, (weight, bias) in enumerate(layers):
                arrays[f"{kind}.{name}.linears.{k}.weight"] = weight
                arrays[f"{kind}.{name}.linears.{k}.bias"] = bias
    found = {key: np.ascontiguousarray(values, np.float32) for key, values in arrays.items()}
    return Weights(architecture, found), maps


def draw_cohort(
    maps: dict[str, Matrix], rng: np.random.Generator, n: int, turn: Matrix, *, noise: float = 0.5
) -> dict[str, Matrix]:
    """Scores of people whose FC latents are their SC latents times ``turn``."""
    person = rng.normal(size=(n, N_LATENT))
    return {
        name: (person @ turn if name.startswith("FC") else person) @ matrix
        + noise * rng.normal(size=(n, N_SCORES))
        for name, matrix in maps.items()
    }


def draw_turn(rng: np.random.Generator) -> Matrix:
    """Turn about the mean latent."""
    turn = np.eye(N_LATENT)
    turn[1:, 1:] = ortho_group.rvs(N_LATENT - 1, random_state=rng)
    return turn


@pytest.mark.parametrize("n_hidden", [0, 20])
def test_a_planted_turn_is_found_from_sixty_people(n_hidden: int) -> None:
    """The map is the one planted, self paths stay as good, and paths across become good."""
    rng = np.random.default_rng(0)
    network, maps = make_network(rng, n_hidden)
    turn = draw_turn(rng)
    scores = draw_cohort(maps, rng, 60, turn)

    ladder = climb_ladder(Tuner(network, scores, scores))

    assert ladder.chosen == LATENT_MAP
    found = ladder.changes[LATENT_MAP].turn
    assert np.linalg.norm(found - turn) < 0.35 * np.linalg.norm(np.eye(N_LATENT) - turn)
    gain = ladder.estimate(LATENT_MAP, over=MEAN_SHIFT)
    assert gain.low > 0.5
    own = ladder.estimate(LATENT_MAP, over=MEAN_SHIFT, paths=[(NAMES[2], NAMES[2])])
    assert abs(own.value) < 0.01


@pytest.mark.parametrize("seed", range(8))
def test_noise_stays_at_mean_shift(seed: int) -> None:
    """Where the two modalities have nothing in common, nothing is fitted."""
    rng = np.random.default_rng(seed)
    network, _ = make_network(rng)
    noise = {name: rng.normal(size=(60, N_SCORES)) for name in NAMES}

    assert climb_ladder(Tuner(network, noise, noise), seed=seed).chosen == MEAN_SHIFT


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_fits_stays_at_mean_shift(seed: int) -> None:
    """People like those the model was trained on need no more."""
    rng = np.random.default_rng(seed)
    network, maps = make_network(rng)
    scores = draw_cohort(maps, rng, 60, np.eye(N_LATENT))

    ladder = climb_ladder(Tuner(network, scores, scores))

    assert ladder.chosen == MEAN_SHIFT
    assert ladder.estimate(MEAN_SHIFT).value > 0.8


def test_a_changed_decoder_is_found() -> None:
    """FC that follows from the latents in another way needs decoders of its own."""
    rng = np.random.default_rng(3)
    network, maps = make_network(rng)
    other = {
        name: matrix + (rng.normal(size=matrix.shape) if name.startswith("FC") else 0)
        for name, matrix in maps.items()
    }
    other[NAMES[0]][0] = other[NAMES[1]][0] = 0

    ladder = climb_ladder(Tuner(network, *[draw_cohort(other, rng, 120, np.eye(N_LATENT))] * 2))

    assert ladder.chosen == DECODER
    assert ladder.estimate(DECODER, over=MEAN_SHIFT).low > 0


@pytest.mark.parametrize("n_hidden", [0, 20])
def test_folded_changes_predict_what_was_judged(n_hidden: int) -> None:
    """A network with the changes in its weights gives the same likeness to everybody."""
    rng = np.random.default_rng(4)
    network, maps = make_network(rng, n_hidden)
    scores = draw_cohort(maps, rng, 40, draw_turn(rng))
    tuner = Tuner(network, scores, scores)
    everybody = np.ones(40, bool)
    changes = tuner.shift(everybody)
    for rung in RUNGS[2:]:
        candidates = tuner.list_candidates(rung, everybody, changes)
        changes = list(candidates.values())[-1]

    folded = Layers(change_network(network, changes), {}, CPU, {})

    paths = tuple((i, j) for i in NAMES for j in NAMES)
    judged = tuner.score_paths(changes, everybody, paths, fitted_on=everybody)
    for (source, target), wanted in zip(paths, judged, strict=True):
        own = scores[source] - scores[source].mean(axis=0)
        first = folded.linears(f"encoders.{source}")[0]
        z = folded.encode(source, np.asarray(first(own), np.float32))
        hidden = folded.decode(target, z)[:40]
        given = folded.linears(f"decoders.{target}")[-1](hidden)
        observed = scores[target] - scores[target].mean(axis=0)
        cosine = (given * observed).sum(axis=1)
        cosine /= np.linalg.norm(given, axis=1) * np.linalg.norm(observed, axis=1)
        np.testing.assert_allclose(cosine, wanted, atol=2e-5)


def test_people_who_lack_a_flavor_count_where_they_can() -> None:
    """NaN rows neither break the fits nor are judged."""
    rng = np.random.default_rng(5)
    network, maps = make_network(rng)
    scores = draw_cohort(maps, rng, 60, draw_turn(rng))
    scores[NAMES[0]][:20] = np.nan
    scores[NAMES[3]][15:30] = np.nan

    ladder = climb_ladder(Tuner(network, scores, scores))

    assert ladder.chosen == LATENT_MAP
    assert ladder.estimate(LATENT_MAP, paths=[(NAMES[0], NAMES[3])]).n_subjects == 30
    assert ladder.estimate(LATENT_MAP).n_subjects == 60


def test_an_offset_of_the_site_is_what_mean_shift_is_for() -> None:
    """Without adaptation the offset hides what is the person's own; none is not taken."""
    rng = np.random.default_rng(6)
    network, maps = make_network(rng)
    scores = draw_cohort(maps, rng, 60, np.eye(N_LATENT))
    raw = {name: rows + 20 * rng.normal(size=N_SCORES) for name, rows in scores.items()}

    ladder = climb_ladder(Tuner(network, raw, scores))

    assert ladder.chosen == MEAN_SHIFT
    assert ladder.estimate(MEAN_SHIFT, over=NONE).low > 0.02


def test_the_same_seed_finds_the_same_bytes() -> None:
    """And another order of flavors' families does not matter to it."""
    rng = np.random.default_rng(7)
    network, maps = make_network(rng)
    scores = draw_cohort(maps, rng, 40, draw_turn(rng))
    families = [f"f{k // 2}" for k in range(40)]

    one, same = (
        climb_ladder(Tuner(network, scores, scores), families=families, seed=3) for _ in range(2)
    )

    for rung in RUNGS:
        np.testing.assert_array_equal(one.scores[rung], same.scores[rung])
    np.testing.assert_array_equal(one.changes[DECODER].turn, same.changes[DECODER].turn)
    assert one.estimate(LATENT_MAP, over=MEAN_SHIFT) == same.estimate(LATENT_MAP, over=MEAN_SHIFT)


def test_a_mean_of_twins_is_as_sure_as_one_of_each() -> None:
    """Everybody twice: the mean stays, its error is that of half as many people."""
    values = np.random.default_rng(8).normal(size=50)
    single = estimate_mean(values, np.arange(50))

    twins = estimate_mean(values.repeat(2), np.arange(50).repeat(2))

    assert single.error == pytest.approx(values.std(ddof=1) / 50**0.5)
    assert (twins.value, twins.error) == pytest.approx((single.value, single.error))
    assert single.low < single.value < single.high
    assert single.high - single.low == pytest.approx(2 * 1.96 * single.error, rel=0.1)


def test_one_modality_alone_has_no_map() -> None:
    """Paths between FC flavors are judged, and their latents are left where they are."""
    rng = np.random.default_rng(9)
    network, maps = make_network(rng)
    scores = {
        name: rows
        for name, rows in draw_cohort(maps, rng, 40, np.eye(N_LATENT)).items()
        if name[0] == "F"
    }
    tuner = Tuner(network, scores, scores)

    assert tuner.judged == ((NAMES[0], NAMES[1]), (NAMES[1], NAMES[0]))
    assert list(tuner.list_candidates(LATENT_MAP, np.ones(40, bool), Changes())) == ["as below"]
    assert parse_flavor(NAMES[0]).group == "FC"
    assert climb_ladder(replace(tuner)).chosen == MEAN_SHIFT
    assert DECODER_BIAS in RUNGS
