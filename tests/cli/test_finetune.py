"""kraken-tools finetune on a synthetic cohort, from files to a model that other commands take."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from kraken_bids.cli.tools import main
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.reduction import fit_reduction

NAMES = ("FCcorr_mini_hpf", "FCpcorr_mini_hpf", "SCx_mini_count", "SCy_mini_count")
N_REGIONS, N_LATENT, N_SCORES = 12, 9, 10
N_EDGES = N_REGIONS * (N_REGIONS - 1) // 2

Edges = dict[str, NDArray[np.float64]]


class Population:
    """People whose edges follow from their latents, and the model that knows how."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.means = {name: rng.uniform(0.1, 0.9, N_EDGES) for name in NAMES}
        self.maps = {name: 0.02 * rng.normal(size=(N_LATENT - 1, N_EDGES)) for name in NAMES}

    def draw(self, n: int, seed: int, turn: NDArray[np.float64] | None = None) -> Edges:
        """Edges ``[n, n_edges]``; FC follows from turned latents."""
        rng = np.random.default_rng(seed)
        person = rng.normal(size=(n, N_LATENT - 1))
        return {
            name: self.means[name]
            + (person @ turn if turn is not None and name[0] == "F" else person) @ self.maps[name]
            + 0.005 * rng.normal(size=(n, N_EDGES))
            for name in NAMES
        }

    def make_model(self) -> Model:
        """Model that encodes into these latents, about one that all share."""
        training = self.draw(200, 1)
        flavors = tuple(map(parse_flavor, NAMES))
        reductions = {f: fit_reduction(training[f.name], f"pca{N_SCORES}") for f in flavors}
        architecture = Architecture(NAMES, (N_SCORES,) * 4, N_LATENT)
        arrays, axis = {}, np.eye(N_LATENT)[0]
        for flavor in flavors:
            components = reductions[flavor].arrays["pca_components"]
            scale = reductions[flavor].to_affine().scale[0]
            loadings = scale * self.maps[flavor.name] @ components.T
            encoder = np.vstack([np.zeros(N_SCORES), 0.1 * np.linalg.pinv(loadings).T])
            decoder = np.hstack([np.zeros((N_SCORES, 1)), 10 * loadings.T])
            for kind, weight, bias in (
                ("encoders", encoder, axis),
                ("decoders", decoder, np.zeros(N_SCORES)),
            ):
                arrays[f"{kind}.{flavor.name}.linears.0.weight"] = weight
                arrays[f"{kind}.{flavor.name}.linears.0.bias"] = bias
        weights = {key: np.ascontiguousarray(v, np.float32) for key, v in arrays.items()}
        network = Weights(architecture, weights)
        return Model("base", "", flavors, N_LATENT, network, reductions)


def draw_turn() -> NDArray[np.float64]:
    return np.linalg.qr(np.random.default_rng(5).normal(size=(N_LATENT - 1, N_LATENT - 1)))[0]


def write_cohort(folder: Path, edges: Edges, *, site: float = 1.0) -> list[str]:
    """Write connectomes as another site measures them: scaled; people named."""
    n = len(next(iter(edges.values())))
    names = np.array([f"p{k:03d}" for k in range(n)])
    for name, rows in edges.items():
        np.savez(folder / f"{name}.npz", data=site * rows, subjects=names)
    return [f"{name}={folder / name}.npz" for name in edges]


@pytest.fixture(scope="module")
def population() -> Population:
    return Population()


@pytest.fixture(scope="module")
def base(population: Population, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(population.make_model(), tmp_path_factory.mktemp("base"))


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_turned_cohort_gets_a_model_of_its_own(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """The map is found from sixty people; new people of the site are predicted in its units."""
    inputs = write_cohort(tmp_path, population.draw(60, 2, draw_turn()), site=1.3)
    output = tmp_path / "tuned"

    done = run("finetune", "--model", base, "--input", *inputs, "--output", output)

    assert done.exit_code == 0, done.output
    assert "Taken: latent map (rank" in done.output
    found = json.loads((output / "finetune.json").read_text())
    assert (found["Chosen"], found["LatentsTurned"]) == ("latent map", True)
    gain = found["Rungs"][2]
    assert gain["gain_low"] > 0.3
    table = read_columns(output / "finetune.tsv")
    assert len(table["rung"]) == 5 * (1 + 5 + 16)
    assert (output / "finetune.png").read_bytes()[:4] == b"\x89PNG"

    new = population.draw(40, 3, draw_turn())
    source, target = NAMES[2], NAMES[0]
    observed = 1.3 * new[target]
    tuned, plain = read_model(output, "cpu"), read_model(base, "cpu")
    own = tuned.predict({source: 1.3 * new[source]}, source=source, targets=target)
    before = plain.predict({source: new[source]}, source=source, targets=target)
    flavor = parse_flavor(target)
    cases = {"tuned": own[flavor], "plain": 1.3 * before[flavor]}
    errors = {name: np.mean((predicted - observed) ** 2) for name, predicted in cases.items()}
    assert errors["tuned"] < 0.3 * np.mean((observed - observed.mean(axis=0)) ** 2)
    assert errors["plain"] > 3 * errors["tuned"]


def test_people_who_are_named_as_training_subjects_are_told_of(
    population: Population, tmp_path: Path
) -> None:
    """Eight of thirty; of a model that does not say whom it was trained on, nothing is told."""
    known = [f"p{k:03d}_ses-1" for k in range(22, 40)]
    model = replace(population.make_model(), provenance={"Subjects": known})
    inputs = write_cohort(tmp_path, population.draw(30, 2))

    for name, one in (("told", model), ("silent", population.make_model())):
        base = write_model(one, tmp_path / f"{name}-base")
        done = run("finetune", "--model", base, "--input", *inputs, "--output", tmp_path / name)

        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / name / "finetune.json").read_text())["NamedInTraining"]
        assert found == (8 if name == "told" else None)
        said = "8 of 30 people are named as training subjects" in done.output
        assert said == (name == "told")


def test_noise_stays_at_mean_shift_and_says_so(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """What is taken is the base model moved to the cohort; describe shows where it comes from."""
    rng = np.random.default_rng(7)
    edges = {
        name: mean + 0.05 * rng.normal(size=(40, N_EDGES))
        for name, mean in population.means.items()
    }
    inputs = write_cohort(tmp_path, edges)

    done = run("finetune", "--model", base, "--input", *inputs, "--output", tmp_path / "m")

    assert done.exit_code == 0, done.output
    assert "Taken: mean shift alone. Nothing fitted on these people helped" in done.output
    told = run("describe", tmp_path / "m").output
    sha256 = read_model(base, "cpu").sha256
    for words in ("BaseModel: base", f"BaseSHA256: {sha256}", "Taken: mean shift alone"):
        assert words in told


def test_plain_adaptation_folded_in_is_plain_adaptation(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """Predictions of the moved model are those with adaptation, mapped back to its units."""
    edges = population.draw(30, 8)
    inputs = write_cohort(tmp_path, edges, site=1.5)
    run("finetune", "--model", base, "--input", *inputs, "--output", tmp_path / "m")
    found = {}
    for name, model in (("adapted", base), ("moved", tmp_path / "m")):
        words = ("--sources", "each", "--output", tmp_path / f"{name}.npz")
        done = run("predict", "--model", model, "--input", *inputs, *words)
        assert done.exit_code == 0, done.output
        with np.load(tmp_path / f"{name}.npz") as file:
            found[name] = dict(file)

    adapted, moved = found.values()
    for name in NAMES:
        key = f"{name}->encoded"
        np.testing.assert_allclose(moved[key], adapted[key], atol=2e-5)
    model, plain = read_model(tmp_path / "m", "cpu"), read_model(base, "cpu")
    flavor = parse_flavor(NAMES[1])
    mean = plain.training_means()[flavor]
    center = model.training_means()[flavor]
    np.testing.assert_allclose(center, 1.5 * edges[NAMES[1]].mean(axis=0), rtol=1e-5)
    slope = np.polyfit(center, mean, 1)[0]
    key = f"{NAMES[2]}->{NAMES[1]}"
    np.testing.assert_allclose(moved[key], (adapted[key] - mean) / slope + center, atol=1e-4)


def test_the_same_seed_gives_the_same_bytes(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """Weights, table and picture; whatever order the people are listed in, the same people."""
    inputs = write_cohort(tmp_path, population.draw(30, 9, draw_turn()))
    (tmp_path / "families.tsv").write_text(
        "participant_id\tfamily\n" + "".join(f"sub-p{k:03d}\tf{k // 2}\n" for k in range(30))
    )
    words = ("--families", tmp_path / "families.tsv", "--seed", 4)
    for name in ("a", "b"):
        done = run(
            "finetune", "--model", base, "--input", *inputs, *words, "--output", tmp_path / name
        )
        assert done.exit_code == 0, done.output

    assert "30 people of 15 families" in done.output
    for file in ("weights.safetensors", "finetune.tsv", "finetune.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--output", "m.pt"), 2, "--output DIR; found m.pt"),
        (("--families", "family"), 2, "--participants FILE"),
        (("--model", "absent"), 5, "found nothing at absent"),
        (("--device", "warp"), 2, "'warp'"),
        (("--seed", "-1"), 2, "--seed: expected a number from 0 on"),
        (("--input", "SCz_mini_count=FIRST"), 3, "flavors of base"),
    ],
)
def test_what_cannot_be_done_is_said(
    population: Population,
    base: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """With the exit code of its kind, and nothing written."""
    inputs = write_cohort(tmp_path, population.draw(25, 10))
    given = {"--model": [base], "--input": inputs, "--output": [tmp_path / "m"]}
    given[words[0]] = [words[1].replace("FIRST", inputs[0].partition("=")[2])]

    done = run("finetune", *(word for name, values in given.items() for word in (name, *values)))

    assert done.exit_code == code, done.output
    assert said in done.output
    assert not (tmp_path / "m").exists()


def test_few_people_are_refused(population: Population, base: Path, tmp_path: Path) -> None:
    """Nineteen people, also where each has two sessions."""
    inputs = write_cohort(tmp_path, population.draw(19, 11))

    done = run("finetune", "--model", base, "--input", *inputs, "--output", tmp_path / "m")

    assert done.exit_code == 4
    assert "at least 20 people" in done.output
    assert "found 19" in done.output


def test_two_halves_of_a_cohort_are_refused(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """Function of thirty people and structure of thirty others tell nothing of each other."""
    edges = population.draw(60, 12)
    found = []
    for k, name in enumerate(NAMES):
        rows = np.arange(30) if name[0] == "F" else np.arange(29, 60)
        path = tmp_path / f"half{k}.npz"
        subjects = np.array([f"p{row:03d}" for row in rows])
        np.savez(path, data=edges[name][rows], subjects=subjects)
        found.append(f"{name}={path}")

    done = run("finetune", "--model", base, "--input", *found, "--output", tmp_path / "m")

    assert done.exit_code == 4
    assert "people with both structure and function" in done.output
    assert "found 1." in done.output


def test_people_and_families_are_those_who_are_judged(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """Of sixty with structure thirty have function: they are thirty people of fifteen families."""
    edges = population.draw(60, 12)
    found = []
    for name, rows in edges.items():
        n = 30 if name[0] == "F" else 60
        subjects = np.array([f"p{row:03d}" for row in range(n)])
        np.savez(tmp_path / f"{name}.npz", data=rows[:n], subjects=subjects)
        found.append(f"{name}={tmp_path / name}.npz")
    (tmp_path / "families.tsv").write_text(
        "participant_id\tfamily\n" + "".join(f"sub-p{k:03d}\tf{k // 2}\n" for k in range(60))
    )
    words = ("--families", tmp_path / "families.tsv", "--output", tmp_path / "m")

    done = run("finetune", "--model", base, "--input", *found, *words)

    assert done.exit_code == 0, done.output
    assert "30 people of 15 families" in done.output
    told = json.loads((tmp_path / "m" / "finetune.json").read_text())
    keys = ("Rows", "Families", "JudgedRows", "JudgedFamilies")
    assert [told[key] for key in keys] == [60, 30, 30, 15]


def test_a_folder_of_a_training_is_left_as_it_is(
    population: Population, base: Path, tmp_path: Path
) -> None:
    """Its history would stand beside another model."""
    inputs = write_cohort(tmp_path, population.draw(25, 10))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "training.json").write_text("{}")

    done = run("finetune", "--model", base, "--input", *inputs, "--output", tmp_path / "m")

    assert done.exit_code == 2
    assert "the folder of a training" in done.output


def test_a_regression_is_tuned_and_its_figures_are_not_told_as_those_of_the_tuned_one(
    population: Population, tmp_path: Path
) -> None:
    """They are of other numbers and other people; nor are they when it is tuned once more."""
    inputs = write_cohort(tmp_path, population.draw(80, 13))
    words = ("--method", "pls", "--transform", "pca8", "--output", tmp_path / "pls")
    assert run("train", "--input", *inputs, *words).exit_code == 0
    assert "how well subjects are told apart" in run("describe", tmp_path / "pls").output
    inputs = write_cohort(tmp_path, population.draw(40, 14), site=0.8)

    for base, name in (("pls", "once"), ("once", "twice")):
        words = ("--model", tmp_path / base, "--output", tmp_path / name)
        done = run("finetune", "--input", *inputs, *words)
        assert done.exit_code == 0, done.output
        assert "Taken: mean shift alone" in done.output
        assert read_model(tmp_path / name, "cpu").latent_size == 32

        told = run("describe", tmp_path / name).output
        assert "before it was fine-tuned, the model was trained as follows" in told
        assert "  trained on 58 subjects" in told
        assert "average rank" not in told
        assert "Evaluation" not in read_model(tmp_path / name, "cpu").provenance
