"""Training from files to a model folder: what comes out, and what it says of itself."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.prediction_dataset import write_prediction_tables
from kraken_bids.exceptions import ConnectomeError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.texts import read_json
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.file_predictions import encode_files
from kraken_bids.pipeline.model_files import convert_model, describe_model, format_description
from kraken_bids.pipeline.model_training import train_files
from kraken_bids.pipeline.predict.prediction_options import PredictionOptions
from kraken_bids.pipeline.train.subject_splits import read_split
from kraken_bids.pipeline.train.training_options import TrainingOptions
from tests.plain_metrics import compute_metrics

Ask = Callable[..., TrainingOptions]
Save = Callable[[Path, Mapping[Flavor, np.ndarray]], Path]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    people: dict[Flavor, np.ndarray],
    save: Save,
    ask: Ask,
) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    cohort = save(folder / "cohort.npz", people)
    train_files([str(cohort)], folder / "model", ask())
    return folder


def test_a_folder_has_everything_and_nothing_unfinished(trained: Path) -> None:
    """Model, history, split, pictures; no saved state, no temporary file."""
    names = {path.name for path in (trained / "model").iterdir() if path.suffix != ".sha256"}

    assert names == {
        "model.json", "weights.safetensors", "maps.safetensors", "history.tsv", "history.json",
        "splits.tsv", "training.json", "curves.png", "heatmap_avgrank_edges_validation.png",
        "heatmap_avgcorr_resid_edges_validation.png",
    }  # fmt: skip
    assert read_json(trained / "model" / "training.json")["Status"] == "complete"


def test_history_in_edge_space_is_that_of_built_edges(
    trained: Path, people: dict[Flavor, np.ndarray]
) -> None:
    """Every path, split and metric, to 1e-5."""
    model = load_model(trained / "model", device="cpu")
    part = {row["participant_id"]: row["split"] for row in read_rows(trained / "model/splits.tsv")}
    rows = {
        split: [k for k in range(30) if part[f"{k + 1:03d}"] == split]
        for split in set(part.values())
    }

    found = [
        row
        for row in read_rows(trained / "model/history.tsv")
        if (row["epoch"], row["space"], row["predictor"]) == ("12", "edges", "model")
    ]

    assert {row["split"] for row in found} == {"train", "validation", "test"}
    assert len(found) == 3 * 9 * 4
    means = model.training_means()
    for row in found:
        source, target = (
            next(f for f in people if f.name == row[k]) for k in ("source", "target")
        )
        who = rows[row["split"]]
        predicted = model.decode(target, model.encode(source, people[source][who]), source=source)
        expected = compute_metrics(people[target][who], predicted, mean=means[target])
        assert float(row["value"]) == pytest.approx(expected[row["metric"]], abs=1e-5), row
        assert int(row["n"]) == len(who)


@pytest.mark.parametrize("transform", ["cfeat", "none"])
def test_without_components_edges_are_judged_as_they_are(
    tmp_path: Path, cohort: Path, people: dict[Flavor, np.ndarray], ask: Ask, transform: str
) -> None:
    """Edge space is that of the model's predictions there too."""
    train_files([str(cohort)], tmp_path / "m", ask(transform=transform, n_epochs=3))

    model = load_model(tmp_path / "m", device="cpu")
    part = {row["participant_id"]: row["split"] for row in read_rows(tmp_path / "m/splits.tsv")}
    test = [k for k in range(30) if part[f"{k + 1:03d}"] == "test"]
    source, target = list(people)[2], next(iter(people))
    predicted = model.decode(target, model.encode(source, people[source][test]), source=source)
    mean = model.training_means()[target]
    expected = compute_metrics(people[target][test], predicted, mean=mean)
    found = {
        row["metric"]: float(row["value"])
        for row in read_rows(tmp_path / "m/history.tsv")
        if (row["source"], row["target"], row["split"], row["space"], row["predictor"])
        == (source.name, target.name, "test", "edges", "model")
    }
    assert set(found) == {"avgrank", "top1acc", "avgcorr", "avgcorr_resid"}
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-5), name


def test_spaces_and_baselines_are_kept_apart(trained: Path) -> None:
    """Both spaces beside a group mean that tells nobody apart and shuffled predictions."""
    rows = read_rows(trained / "model/history.tsv")
    last = {
        (row["space"], row["predictor"]): float(row["value"])
        for row in rows
        if row["metric"] == "avgcorr_resid" and row["split"] == "validation"
    }

    assert set(last) == {
        (space, predictor)
        for space in ("edges", "transform")
        for predictor in ("model", "shuffled", "group mean")
    }
    assert last["edges", "group mean"] == 0
    epochs = [
        int(row["epoch"]) for row in rows if (row["metric"], row["source"]) == ("loss", "all")
    ]
    assert epochs == list(range(1, 13))


def test_provenance_says_on_whom_and_how_well(trained: Path) -> None:
    """Numbers of people, epochs, seconds, and figures with their space and baselines."""
    told = load_model(trained / "model", device="cpu").provenance

    assert told["SplitSizes"] == {"train": 22, "validation": 2, "test": 6}
    assert told["NumberOfSubjects"] == len(told["Subjects"]) == 22
    assert told["Epoch"] == 12
    assert told["TrainingSeconds"] > 0
    one = next(
        row
        for row in told["Evaluation"]
        if (row["Split"], row["Direction"], row["Space"], row["Metric"])
        == ("test", "SC->FC", "edges", "avgcorr_resid")
    )
    assert one["Subjects"] == 6
    assert one["GroupMean"] == 0
    assert -1 < one["Value"] < 1


def test_the_same_seed_gives_the_same_bytes(trained: Path, tmp_path: Path, ask: Ask) -> None:
    """Weights and history; another seed gives others."""
    inputs = [str(trained / "cohort.npz")]
    train_files(inputs, tmp_path / "again", ask())
    train_files(inputs, tmp_path / "other", ask(seed=1))

    assert read_weights(tmp_path / "again") == read_weights(trained / "model")
    history = (tmp_path / "again/history.tsv").read_bytes()
    assert history == (trained / "model/history.tsv").read_bytes()
    assert read_weights(tmp_path / "other") != read_weights(trained / "model")


def test_people_in_another_order_are_joined_by_name(
    trained: Path, tmp_path: Path, people: dict[Flavor, np.ndarray], ask: Ask
) -> None:
    """One flavor's file lists them backwards: the model is the same."""
    names = np.array([f"{row + 1:03d}" for row in range(30)])
    inputs = []
    for number, (flavor, edges) in enumerate(people.items()):
        step = -1 if number == 1 else 1
        path = tmp_path / f"{flavor}.npz"
        np.savez(path, subjects=names[::step], data=edges[::step])
        inputs.append(f"{flavor}={path}")

    train_files(inputs, tmp_path / "model", ask())

    assert read_weights(tmp_path / "model") == read_weights(trained / "model")


def test_a_trained_model_goes_into_the_published_format_and_back(
    trained: Path, tmp_path: Path, people: dict[Flavor, np.ndarray]
) -> None:
    """The same answers, and its origin is still known."""
    _, written = convert_model(str(trained / "model"), tmp_path / "kraken_chkpt_own.pt")
    there = load_model(written[0], transforms=written[1:], device="cpu")
    here = load_model(trained / "model", device="cpu")

    expected = here.predict({f: rows[:3] for f, rows in people.items()})
    for flavor, values in there.predict({f: rows[:3] for f, rows in people.items()}).items():
        np.testing.assert_allclose(values, expected[flavor], atol=1e-6)
    assert there.provenance["SplitSizes"] == here.provenance["SplitSizes"]


def test_people_who_lack_a_flavor_train_what_they_have(
    tmp_path: Path, people: dict[Flavor, np.ndarray], save: Save, ask: Ask
) -> None:
    """A third without structure: all flavors have their transform, everyone is trained on."""
    edges = {flavor: rows.copy() for flavor, rows in people.items()}
    structure = next(flavor for flavor in edges if flavor.group == "SC")
    edges[structure][::3] = np.nan

    model = train_files([str(save(tmp_path / "c.npz", edges))], tmp_path / "m", ask())

    by_flavor = model.provenance["SubjectsByFlavor"]
    assert by_flavor[structure.name] < by_flavor["FCcorr_mini12_hpf"] == 22
    assert all(np.isfinite(values).all() for values in model.network.arrays.values())


def test_a_path_is_told_of_those_it_is_judged_on(
    tmp_path: Path, people: dict[Flavor, np.ndarray], save: Save, ask: Ask
) -> None:
    """Structure of a third: number, group mean and chance of a path are of those who have both."""
    edges = {flavor: rows.copy() for flavor, rows in people.items()}
    structure = next(flavor for flavor in edges if flavor.group == "SC")
    edges[structure][::3] = np.nan
    cohort = save(tmp_path / "c.npz", edges)

    told = train_files([str(cohort)], tmp_path / "m", ask(n_epochs=1)).provenance

    n_both = told["SubjectsByFlavor"][structure.name]
    by_direction = {
        row["Direction"]: row
        for row in told["Evaluation"]
        if (row["Split"], row["Space"], row["Metric"]) == ("train", "edges", "avgrank")
    }
    assert {name: row["Subjects"] for name, row in by_direction.items()} == {
        "FC->FC": 22, "FC->SC": n_both, "SC->FC": n_both, "SC->SC": n_both,
    }  # fmt: skip
    for row in by_direction.values():
        chance = (row["Subjects"] + 1) / (2 * row["Subjects"])
        assert row["GroupMean"] == pytest.approx(chance, abs=1e-6), row
        assert row["Shuffled"] == pytest.approx(chance, abs=1e-6), row


def test_flavors_that_nobody_connects_are_refused(
    tmp_path: Path,
    people: dict[Flavor, np.ndarray],
    save: Save,
    ask: Ask,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Structure of others than function teaches no path between them; of four it is doubtful."""
    edges = {flavor: rows.copy() for flavor, rows in people.items()}
    structure = next(flavor for flavor in edges if flavor.group == "SC")
    everybody = ask(test_share=0.0, validation_share=0.0, n_epochs=1)
    for n_both in (1, 4):
        for flavor, rows in edges.items():
            rows[:] = people[flavor]
            rows[slice(0, 15) if flavor == structure else slice(15 + n_both, None)] = np.nan
        cohort = save(tmp_path / f"{n_both}.npz", edges)
        if n_both == 1:
            with pytest.raises(ConnectomeError, match=r"fewer between .* and SCcount_mini12_raw"):
                train_files([str(cohort)], tmp_path / "a", everybody)
        else:
            train_files([str(cohort)], tmp_path / "b", everybody)
    assert "FCcorr_mini12_hpf and SCcount_mini12_raw (4)" in caplog.text


def test_one_atlas_of_two_sizes_is_refused(
    tmp_path: Path, people: dict[Flavor, np.ndarray], save: Save, ask: Ask
) -> None:
    """Predictions of one atlas cannot have two sets of regions."""
    edges = dict(people)
    last = list(edges)[-1]
    edges[last] = edges[last][:, :55]
    cohort = save(tmp_path / "c.npz", edges)

    with pytest.raises(ConnectomeError, match=r"66 edges in FCcorr_mini12_hpf and 55 in SCcount"):
        train_files([str(cohort)], tmp_path / "m", ask())
    assert not (tmp_path / "m").exists()


def test_the_best_epoch_is_kept_with_patience(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """It is that of the best validation in the history, and training ends after it."""
    options = ask(n_epochs=400, learning_rate=0.05, patience=30, validate_every=5)
    model = train_files([str(cohort)], tmp_path / "m", options)

    values: dict[int, list[float]] = {}
    for row in read_rows(tmp_path / "m/history.tsv"):
        key = (row["split"], row["metric"], row["space"], row["predictor"])
        if key == ("validation", "avgcorr_resid", "edges", "model") and row["epoch"] != "0":
            values.setdefault(int(row["epoch"]), []).append(float(row["value"]))
    best = max(values, key=lambda epoch: np.mean(values[epoch]))
    assert model.provenance["Epoch"] == best
    assert model.provenance["EpochsRun"] == best + 30 < 400
    assert read_json(tmp_path / "m/training.json")["BestValidationEpoch"] == best


def test_a_closed_form_peer_gives_the_same_kind_of_folder(
    tmp_path: Path, cohort: Path, people: dict[Flavor, np.ndarray], ask: Ask
) -> None:
    """Judged in the same way; it finds people whose factors are shared."""
    train_files([str(cohort)], tmp_path / "m", ask(method="pls"))

    told = load_model(tmp_path / "m", device="cpu").provenance
    values = {
        row["Metric"]: row["Value"]
        for row in told["Evaluation"]
        if (row["Split"], row["Direction"], row["Space"]) == ("test", "SC->FC", "edges")
    }
    assert values["avgcorr_resid"] > 0.5
    assert told["Method"] == "pls"


def write_split(path: Path, parts: Mapping[str, str]) -> Path:
    lines = [f"sub-{name}\t{part}" for name, part in parts.items()]
    path.write_text("participant_id\tpart\n" + "\n".join(lines) + "\n")
    return path


PARTS = {f"{k + 1:03d}": "train" if k < 20 else "val" if k < 25 else "test" for k in range(29)}


def test_a_table_says_who_trains(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """Who is not named takes no part."""
    options = ask(splits=write_split(tmp_path / "s.tsv", PARTS), n_epochs=1)
    model = train_files([str(cohort)], tmp_path / "m", options)

    assert model.provenance["Subjects"] == [name for name in PARTS if PARTS[name] == "train"]
    assert model.provenance["SplitSizes"] == {"train": 20, "validation": 5, "test": 4}


def test_a_published_split_is_read(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """Zero-based rows of its own list of subjects."""
    names = [f"{k + 1:03d}" for k in range(30)][::-1]
    content = {"subjects": np.array(names, object), "subjidx_train": np.arange(5, 30),
               "subjidx_val": np.array([0, 1, 2]), "subjidx_test": np.array([3, 4])}  # fmt: skip
    savemat(tmp_path / "subject_splits_30.mat", content)

    model = train_files(
        [str(cohort)], tmp_path / "m", ask(splits=tmp_path / "subject_splits_30.mat", n_epochs=1)
    )

    assert sorted(model.provenance["Subjects"]) == sorted(names[5:])


def test_families_stay_together_and_a_split_that_parts_them_is_refused(
    tmp_path: Path, cohort: Path, ask: Ask
) -> None:
    """Ten families of three; the message names one."""
    table = tmp_path / "participants.tsv"
    rows = "".join(f"sub-{k + 1:03d}\t{k // 3}\n" for k in range(30))
    table.write_text("participant_id\tfamily\n" + rows)

    train_files([str(cohort)], tmp_path / "m", ask(families=str(table), n_epochs=1))

    by_family: dict[str, set[str]] = {}
    for row in read_rows(tmp_path / "m/splits.tsv"):
        by_family.setdefault(row["family"], set()).add(row["split"])
    assert len(by_family) == 10
    assert {len(parts) for parts in by_family.values()} == {1}
    options = ask(
        splits=write_split(tmp_path / "s.tsv", PARTS), families="family", participants=table
    )
    with pytest.raises(InputError, match=r"keeps each family.*6: 019, 020, 021"):
        train_files([str(cohort)], tmp_path / "n", options)


def test_sessions_of_a_person_stay_together(
    tmp_path: Path, people: dict[Flavor, np.ndarray], ask: Ask
) -> None:
    """Two sessions of each of fifteen people."""
    labels = np.array([f"{k // 2 + 1:02d}_ses-{k % 2 + 1}" for k in range(30)])
    np.savez(tmp_path / "c.npz", subjects=labels, **{f.name: x for f, x in people.items()})

    train_files([str(tmp_path / "c.npz")], tmp_path / "m", ask(n_epochs=1))

    parts: dict[str, set[str]] = {}
    for row in read_rows(tmp_path / "m/splits.tsv"):
        parts.setdefault(row["participant_id"].partition("_")[0], set()).add(row["split"])
    assert {len(own) for own in parts.values()} == {1}


def test_too_few_people_are_told_what_fits(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """The largest transform and batch, as they are typed."""
    options = ask(transform="pca40", batch_size=30)

    with pytest.raises(ConnectomeError, match=r"found 22 .*--transform pca22 --batch-size 22"):
        train_files([str(cohort)], tmp_path / "m", options)
    assert not (tmp_path / "m").exists()


def test_a_flavor_that_too_few_have_is_named(
    tmp_path: Path, people: dict[Flavor, np.ndarray], save: Save, ask: Ask
) -> None:
    """With the transform that fits it."""
    edges = {flavor: rows.copy() for flavor, rows in people.items()}
    edges[next(iter(edges))][5:] = np.nan

    with pytest.raises(ConnectomeError, match=r"with FCcorr_mini12_hpf .*--transform pca\d"):
        train_files([str(save(tmp_path / "c.npz", edges))], tmp_path / "m", ask())


def test_a_flavor_without_variance_is_named(
    tmp_path: Path, people: dict[Flavor, np.ndarray], save: Save, ask: Ask
) -> None:
    """The same connectome in everyone."""
    first = next(iter(people))
    edges = {**people, first: np.tile(people[first][0], (30, 1))}

    with pytest.raises(ConnectomeError, match=r"FCcorr_mini12_hpf: .*all alike"):
        train_files([str(save(tmp_path / "c.npz", edges))], tmp_path / "m", ask())


def test_a_row_of_a_split_that_names_nobody_is_refused(tmp_path: Path) -> None:
    """Rows of blanks, as spreadsheet programs leave them, are none."""
    table = tmp_path / "splits.tsv"
    table.write_text("participant_id\tsplit\n001\ttrain\n\t\n002\ttest\n")
    assert read_split(table) == {"001": "train", "002": "test"}

    table.write_text("participant_id\tsplit\n001\ttrain\n\ttest\n")
    with pytest.raises(InputError, match="found none beside test"):
        read_split(table)


def test_a_name_that_comes_twice_is_refused(
    tmp_path: Path, people: dict[Flavor, np.ndarray], ask: Ask
) -> None:
    """Nobody can tell whose connectome is meant."""
    labels = np.array(["001", *[f"{k:03d}" for k in range(1, 30)]])
    np.savez(tmp_path / "c.npz", subjects=labels, **{f.name: x for f, x in people.items()})

    with pytest.raises(InputError, match=r"each subject once.*found 001 more than once"):
        train_files([str(tmp_path / "c.npz")], tmp_path / "m", ask())


def to_squares(edges: np.ndarray) -> np.ndarray:
    squares = np.zeros((len(edges), 12, 12))
    rows, columns = np.triu_indices(12, 1)
    squares[:, rows, columns] = squares[:, columns, rows] = edges
    return squares


def train_gapped(folder: Path, people: Mapping[Flavor, np.ndarray], ask: Ask, who: slice) -> Model:
    squares = {flavor: to_squares(rows) for flavor, rows in people.items()}
    first = next(iter(squares))
    squares[first][who, 3, :] = squares[first][who, :, 3] = np.nan
    names = np.array([f"{k + 1:03d}" for k in range(30)])
    np.savez(folder / "c.npz", subjects=names, **{f.name: x for f, x in squares.items()})
    return train_files([str(folder / "c.npz")], folder / "m", ask(n_epochs=1))


def test_missing_regions_take_the_training_mean(
    tmp_path: Path,
    people: dict[Flavor, np.ndarray],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of those who have them."""
    monkeypatch.setattr("kraken_bids.cohort.flavor_blocks.MAX_IMPUTED_SHARE", 0.2)

    model = train_gapped(tmp_path, people, ask, slice(0, 9))

    flavor = next(iter(people))
    trained = [int(name) - 1 for name in model.provenance["Subjects"]]
    edges = people[flavor].copy()
    rows, columns = np.triu_indices(12, 1)
    edges[:9, (rows == 3) | (columns == 3)] = np.nan
    expected = np.nanmean(edges[trained], axis=0)
    np.testing.assert_allclose(model.training_means()[flavor], expected, atol=1e-6)


def test_a_region_that_nobody_has_is_refused(
    tmp_path: Path,
    people: dict[Flavor, np.ndarray],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no mean to fill it with."""
    monkeypatch.setattr("kraken_bids.cohort.flavor_blocks.MAX_IMPUTED_SHARE", 0.2)

    with pytest.raises(ConnectomeError, match="11 edges that nobody has"):
        train_gapped(tmp_path, people, ask, slice(None))


def test_patience_needs_people_to_validate_with(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """It says what to give."""
    with pytest.raises(SettingsError, match="--patience: expected at least two validation"):
        train_files([str(cohort)], tmp_path / "m", ask(validation_share=0, patience=3))


def test_regions_of_an_own_atlas_are_kept(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """By their table, which must have as many."""
    table = tmp_path / "dseg.tsv"
    table.write_text("index\tname\n" + "".join(f"{k + 1}\tregion{k}\n" for k in range(12)))
    model = train_files([str(cohort)], tmp_path / "m", ask(atlases={"mini12": table}, n_epochs=1))

    assert model.provenance["Regions"] == {"mini12": [f"region{k}" for k in range(12)]}
    assert read_json(tmp_path / "m/model.json")["regions"]["mini12"][11] == "region11"
    table.write_text("index\tname\n1\ta\n2\tb\n")
    with pytest.raises(ConnectomeError, match="expected the 2 regions"):
        train_files([str(cohort)], tmp_path / "n", ask(atlases={"mini12": table}))


def test_a_dataset_of_kraken_bids_is_taken_as_it_is(
    tmp_path: Path, output_dir: Path, ask: Ask
) -> None:
    """Measured connectomes of the folder; predictions beside them are passed over."""
    written = next(output_dir.rglob("*meas-FCcorrHPF_relmat.dense.tsv"))
    predicted = written.with_name(written.name.replace("_relmat", "_desc-fusionSCkraken_relmat"))
    predicted.write_text("no matrix")

    model = train_files([str(output_dir)], output_dir.parent / "trained", ask(batch_size=4))

    assert {flavor.name for flavor in model.flavors} == {
        "FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "SCifod2act_fs86_volnorm",
    }  # fmt: skip
    assert len(read_connectomes(str(output_dir)).subjects) == 12


def test_describe_says_on_whom_how_long_and_how_well(trained: Path) -> None:
    """In words, each figure with its space and beside its baselines."""
    lines = list(format_description(describe_model(str(trained / "model"))))

    said = "\n".join(lines)
    assert "trained on 22 subjects; watched with 2 others; 6 held out for test" in said
    assert "loss correye+enceye.w10+neidist+encdist.w10+mse.w1000+latentsimloss.w10000" in said
    assert "epoch 12 of 12 that were run" in said
    figures = [line for line in lines if "SC->FC" in line]
    assert len(figures) == 6
    assert sum("edge space" in line for line in figures) == 3
    assert "Evaluation" not in said


def test_predicted_tables_come_with_the_regions_of_the_own_atlas(
    trained: Path, tmp_path: Path
) -> None:
    """Numbered where the model has no names of them."""
    model = load_model(trained / "model", device="cpu")
    options = PredictionOptions(adaptation_mode="none")
    predictions = encode_files([str(trained / "cohort.npz")], model, options)

    write_prediction_tables(predictions, tmp_path / "out")

    rows = read_rows(tmp_path / "out/atlas-mini12_dseg.tsv")
    assert [row["name"] for row in rows] == [f"mini12_{k + 1}" for k in range(12)]
