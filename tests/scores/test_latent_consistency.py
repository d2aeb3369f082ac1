"""Which files belong together: planted people, swaps and damage; odds by plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.scores.latent_consistency import MIN_FIT, judge_latents

FC = [parse_flavor(f"FC{kind}_fs86_hpf") for kind in ("corr", "pcorr")]
FC.append(parse_flavor("FCcorr_fs86_hpfgsr"))
SC = [parse_flavor(f"SC{kind}_fs86_volnorm") for kind in ("ifod2act", "sdstream")]
N, N_LATENT = 16, 12

Latents = dict[Flavor, NDArray[np.float64]]


def make_latents(n: int = N, noise: float = 0.2, seed: int = 3) -> Latents:
    """Make unit latents of people, dominated by what all people share, as a model's are."""
    rng = np.random.default_rng(seed)
    common, people = 4 * rng.normal(size=N_LATENT), rng.normal(size=(n, N_LATENT))
    latents = {}
    for flavor in (*FC, *SC):
        rows = common + people + noise * rng.normal(size=people.shape)
        latents[flavor] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return latents


@pytest.fixture
def latents() -> Latents:
    return make_latents()


def names(n: int) -> list[str]:
    return [f"{k:02d}" for k in range(n)]


def list_set_aside(found: dict[Flavor, object]) -> dict[str, list[int]]:
    aside = {f.name: np.flatnonzero(fit.set_aside).tolist() for f, fit in found.items()}
    return {name: rows for name, rows in aside.items() if rows}


def test_files_that_belong_together_rank_first(latents: Latents) -> None:
    """Everyone is nearest to themselves and nobody is set aside."""
    found = judge_latents(latents, names(N))

    for fit in found.values():
        assert (fit.rank == 1).all()
        assert (fit.n_ranked == N).all()
        assert (fit.log_odds > 0).all()
    assert list_set_aside(found) == {}


def compute_odds(latents: Latents, flavor: Flavor, subject: int) -> float:
    """Do the definition again with loops over pairs of people."""
    units = {}
    for f, rows in latents.items():
        centred = rows - np.median(rows, axis=0)
        units[f] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    votes: dict[str, list[float]] = {"FC": [], "SC": []}
    for other in latents:
        if other == flavor:
            continue
        cosines = [[float(a @ b) for b in units[other]] for a in units[flavor]]
        own = np.array([cosines[k][k] for k in range(N)])
        different = np.array([cosines[i][j] for i in range(N) for j in range(N) if i != j])
        typical = np.median(own)
        spread = max(different.std(), 1.4826 * np.median(np.abs(own - typical)))
        slope = (typical - different.mean()) / spread**2
        vote = slope * (own[subject] - (typical + different.mean()) / 2)
        votes[other.group].append(float(np.clip(vote, -np.log(100), np.log(100))))
    same = votes[flavor.group]
    return sum(same) + float(np.mean(votes["SC" if flavor.group == "FC" else "FC"]))


def vote_all(latents: Latents, f: Flavor, g: Flavor) -> NDArray[np.float64]:
    """Votes of everyone's file of one flavor with everyone's of another, without their limit."""
    units = []
    for flavor in (f, g):
        centred = latents[flavor] - np.median(latents[flavor], axis=0)
        units.append(centred / np.linalg.norm(centred, axis=1, keepdims=True))
    cosines = units[0] @ units[1].T
    own, different = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
    typical = np.median(own)
    spread = max(different.std(), 1.4826 * np.median(np.abs(own - typical)))
    middle = (typical + different.mean()) / 2
    votes: NDArray[np.float64] = (typical - different.mean()) / spread**2 * (cosines - middle)
    return votes


def test_odds_are_those_of_the_definition(latents: Latents) -> None:
    """Votes within the modality are summed, those across it averaged."""
    found = judge_latents(latents, names(N))

    for flavor in (FC[1], SC[0]):
        for subject in (0, 7):
            expected = compute_odds(latents, flavor, subject)
            assert found[flavor].log_odds[subject] == pytest.approx(expected)


@pytest.mark.parametrize("flavor", [FC[0], SC[1]])
def test_two_swapped_files_name_each_other(latents: Latents, flavor: Flavor) -> None:
    """Only the swapped files are set aside, each with the person whose files it fits."""
    latents[flavor][[2, 9]] = latents[flavor][[9, 2]]

    found = judge_latents(latents, names(N))

    assert list_set_aside(found) == {flavor.name: [2, 9]}
    assert found[flavor].best[[2, 9]].tolist() == [9, 2]
    assert found[flavor].swapped_with[[2, 9]].tolist() == [9, 2]
    assert (found[flavor].rank[[2, 9]] > 1).all()
    assert (found[flavor].log_odds[[2, 9]] < MIN_FIT).all()


def swap_scans(latents: Latents, a: int, b: int) -> None:
    for flavor in SC:
        latents[flavor][[a, b]] = latents[flavor][[b, a]]


def test_two_swapped_scans_name_each_other(latents: Latents) -> None:
    """Files of one scan agree among themselves; where all are swapped, the other modality says."""
    swap_scans(latents, 2, 9)

    found = judge_latents(latents, names(N))

    assert list_set_aside(found) == {}
    for fit in found.values():
        assert fit.scans_swapped_with[[2, 9]].tolist() == [9, 2]
        assert (np.delete(fit.scans_swapped_with, [2, 9]) == -1).all()
        assert (fit.swapped_with == -1).all()


@pytest.mark.parametrize("noise", [0.03, 0.05, 0.07, 0.09, 0.12])
def test_odds_of_swapped_scans_are_those_of_the_definition(noise: float) -> None:
    """Mean votes between the modalities, pair by pair; weak relations leave a swap unnamed."""
    n, rng = 24, np.random.default_rng(5)
    latents = make_latents(n)
    for flavor in SC:
        rows = latents[flavor] + noise * rng.normal(size=(n, N_LATENT))
        latents[flavor] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    swap_scans(latents, 0, 5)
    votes = np.mean([vote_all(latents, f, g) for f in SC for g in FC], axis=0)
    own = np.diag(votes)
    gain = np.triu(votes + votes.T - own[:, None] - own, 1)

    partner = judge_latents(latents, names(n))[SC[0]].scans_swapped_with

    assert np.unravel_index(gain.argmax(), gain.shape) == (0, 5)
    is_named = gain[0, 5] > np.log(n * (n - 1) / 2) and (own < 0).sum() < n / 4
    assert partner[[0, 5]].tolist() == ([5, 0] if is_named else [-1, -1])
    assert is_named == (noise < 0.08)


def test_scans_of_one_person_or_of_few_are_no_swaps(latents: Latents) -> None:
    """Two sessions of one person may be mixed up unseen; four people are too few to say."""
    swap_scans(latents, 2, 9)
    people = ["same" if k in {2, 9} else f"{k}" for k in range(N)]
    few = {flavor: rows[[2, 9, 4, 5]] for flavor, rows in latents.items()}

    for found in (judge_latents(latents, people), judge_latents(few, names(4))):
        assert all((fit.scans_swapped_with == -1).all() for fit in found.values())


def test_a_damaged_file_fits_nobody(latents: Latents) -> None:
    """It is set aside, and nobody's files fit as one's own typically do."""
    latents[FC[2]][5] = np.random.default_rng(8).normal(size=N_LATENT)

    fit = judge_latents(latents, names(N))[FC[2]]

    assert np.flatnonzero(fit.set_aside).tolist() == [5]
    assert fit.best_log_odds[5] < fit.typical / 2
    assert (fit.swapped_with == -1).all()


def test_missing_flavors_take_nobody_else_down(latents: Latents) -> None:
    """A person with one flavor only cannot be judged; the others can."""
    for flavor in (*FC[1:], *SC):
        latents[flavor][4] = np.nan
    latents[SC[0]][6] = np.nan

    found = judge_latents(latents, names(N))

    assert np.isnan(found[FC[0]].rank[4])
    assert np.isnan(found[SC[0]].log_odds[6])
    assert found[FC[0]].best[4] == -1
    assert np.isfinite(np.delete(found[FC[0]].rank, 4)).all()
    assert found[FC[0]].n_ranked[0] == N - 1


def test_sessions_of_one_person_are_not_rivals(latents: Latents) -> None:
    """A second session that fits better than the own does not cost the first rank."""
    doubled = {f: np.concatenate([rows, rows]) for f, rows in latents.items()}

    found = judge_latents(doubled, [*names(N), *names(N)])

    for fit in found.values():
        assert (fit.rank == 1).all()
        assert (fit.n_ranked == 2 * N - 1).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_people_are_ranked_at_most(n: int) -> None:
    """From three on there are ranks; nobody is set aside before there are five."""
    latents = make_latents(n)
    latents[FC[0]][0] = -latents[FC[0]][0]

    found = judge_latents(latents, names(n))

    assert np.isfinite(found[FC[1]].rank).all() == (n >= 3)
    assert list_set_aside(found) == {}


def test_latents_that_tell_nobody_apart_accuse_nobody() -> None:
    """Flavors without any relation have ranks of chance and odds near 0."""
    rng = np.random.default_rng(2)
    latents = {flavor: rng.normal(size=(40, N_LATENT)) for flavor in (*FC, *SC)}

    found = judge_latents(latents, names(40))

    assert sum(fit.set_aside.sum() for fit in found.values()) == 0


def test_nobody_is_judged_without_latents() -> None:
    """An empty cohort has an empty answer."""
    assert judge_latents({}, []) == {}
