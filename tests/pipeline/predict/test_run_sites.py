"""Adaptation site by site, on people whose connectomes lie elsewhere at each site."""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from kraken_bids.bids.outputs import group_path, relmat_path
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.from_dataset import MeasuredCohort, list_members, read_cohort
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import CheckpointError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.adapted_sites import SiteAdaptation, list_sites
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.saved_adaptation import read_adaptation, write_adaptation
from kraken_bids.pipeline.participant import plan_cohort
from kraken_bids.pipeline.predict.choice_of_adaptation import choose_adaptation
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.predict.run_sites import check_sites
from kraken_bids.settings import DataSettings, PredictionSettings, Settings

Edges = dict[Flavor, NDArray[np.float64]]
SITES = ["north"] * 6 + ["south"] * 6
AGES = [20, 30, 40, 25, 35, 30, 60, 70, 50, 65, 55, 60]
SEXES = list("MFMFFMFMMFMF")
ROUNDED = 1e-5
"""Tables hold six digits."""
GROUPS = ["control"] * 4 + ["patient"] * 2 + ["control"] * 3 + ["patient"] * 3


@pytest.fixture(scope="module")
def planted(cohort_edges: Edges) -> Edges:
    """Two sites: what differs between them, and what grows with age, is planted into edges."""
    rng = np.random.default_rng(3)
    edges = {}
    for flavor, rows in cohort_edges.items():
        shift, slope = 0.2 * rng.standard_normal((2, rows.shape[1]))
        is_south = np.array([site == "south" for site in SITES], float)
        edges[flavor] = rows + np.outer(is_south, shift) + np.outer(AGES, slope / 40)
    return edges


@pytest.fixture
def dataset(tmp_path: Path, planted: Edges) -> Path:
    """Write these people's connectomes and their table."""
    for flavor, rows in planted.items():
        for k, row in enumerate(rows):
            square = edges_to_square(row, diagonal=flavor.diagonal)
            path = relmat_path(tmp_path, {"sub": f"{k + 1:02d}"}, flavor, source=None)
            write_relmat(path, square)
    write_table(tmp_path / "participants.tsv", SITES)
    return tmp_path


def write_table(path: Path, sites: list[str]) -> None:
    """Write who is from where."""
    lines = ["participant_id\tsite\tage\tsex\tdx_now"]
    for k, row in enumerate(zip(sites, AGES, SEXES, GROUPS, strict=True)):
        lines.append("\t".join(map(str, (f"sub-{k + 1:02d}", *row))))
    path.write_text("\n".join(lines) + "\n")


def settings_for(folder: Path, **prediction: object) -> Settings:
    """Make settings of a run that writes there, by site, on as few as there are."""
    few: dict[str, object] = {"adaptation_min_subjects": 2, **prediction}
    return Settings(DataSettings(folder / "bids", folder), prediction=PredictionSettings(**few))  # type: ignore[arg-type]


def read(settings: Settings, model: Model) -> MeasuredCohort:
    """Read everyone."""
    members = list_members(settings.data.output_dir)
    return read_cohort(model, members, fit_on=fit_on_whom(settings, members))


def fit(settings: Settings, model: Model) -> SiteAdaptation:
    """Fit as the group level does."""
    adaptation, _ = choose_adaptation(settings, model, read(settings, model), fits_first=True)
    assert isinstance(adaptation, SiteAdaptation)
    return adaptation


def test_means_of_sites_are_those_of_their_people(
    dataset: Path, model: Model, planted: Edges
) -> None:
    """By hand: each site is adapted as a cohort of its own."""
    adaptation = fit(settings_for(dataset, adaptation_by="site"), model)
    assert list(adaptation.sites) == ["north", "south"]
    for flavor, rows in planted.items():
        for site, own in (("north", rows[:6]), ("south", rows[6:])):
            mean = own.mean(axis=0)
            found = adaptation.sites[site].flavors[flavor]
            np.testing.assert_allclose(found.mean_new, mean, atol=ROUNDED)
            alone = fit_adaptation({flavor: (mean, 6)}, model.training_means()).flavors[flavor]
            assert found.b0 == pytest.approx(alone.b0, rel=1e-4)
            assert found.n_subjects == 6


def test_adapted_sites_have_one_mean(dataset: Path, model: Model) -> None:
    """Of projections of the adapted connectomes: the planted difference is gone."""
    settings = settings_for(dataset, adaptation_by="site", adaptation_mode="meanshift")
    cohort, adaptation = read(settings, model), fit(settings, model)
    for flavor, found in cohort.found.items():
        before = found.rows[:6].mean(axis=0) - found.rows[6:].mean(axis=0)
        fits = list_sites(adaptation, flavor)
        north = model.adapt_projected(flavor, found.rows[:6], fits["north"])
        south = model.adapt_projected(flavor, found.rows[6:], fits["south"])
        after = north.mean(axis=0) - south.mean(axis=0)
        assert np.linalg.norm(after) < 1e-4 * np.linalg.norm(before)


def test_covariates_are_kept_by_regression(dataset: Path, model: Model, planted: Edges) -> None:
    """Site means are scikit-learn's, at the average of age and sex; the planted slope is found."""
    settings = settings_for(dataset, adaptation_by="site", adaptation_covariates=("age", "sex"))
    adaptation = fit(settings, model)
    columns = np.column_stack([[s == "south" for s in SITES], AGES, [s == "M" for s in SEXES]])
    columns = columns.astype(float)
    for flavor, rows in planted.items():
        line = LinearRegression().fit(columns, rows)
        for site, is_south in (("north", 0.0), ("south", 1.0)):
            at = [[is_south, np.mean(AGES), np.mean([s == "M" for s in SEXES])]]
            found = adaptation.sites[site].flavors[flavor].mean_new
            np.testing.assert_allclose(found, line.predict(at)[0], atol=ROUNDED)
        age = adaptation.slopes[flavor][0] / adaptation.covariates[flavor][0].scale
        np.testing.assert_allclose(age, line.coef_[:, 1], atol=ROUNDED)


def test_an_effect_of_age_stays(dataset: Path, model: Model) -> None:
    """Sites differ in age: without covariates their shift takes that along, with them not."""
    slopes = {}
    for covariates in ((), ("age", "sex")):
        settings = settings_for(
            dataset,
            adaptation_by="site",
            adaptation_mode="meanshift",
            adaptation_covariates=covariates,
        )
        adaptation, cohort = fit(settings, model), read(settings, model)
        flavor, found = next(iter(cohort.found.items()))
        fits = list_sites(adaptation, flavor)
        adapted = np.concatenate(
            [
                model.adapt_projected(flavor, found.rows[:6], fits["north"]),
                model.adapt_projected(flavor, found.rows[6:], fits["south"]),
            ]
        )
        within = (
            LinearRegression()
            .fit(
                np.column_stack([AGES, [s == "south" for s in SITES], [s == "M" for s in SEXES]]),
                found.rows,
            )
            .coef_[:, 0]
        )
        overall = (
            LinearRegression()
            .fit(np.column_stack([AGES, [s == "M" for s in SEXES]]), adapted)
            .coef_[:, 0]
        )
        slopes[covariates] = float(overall @ within / (within @ within))
    assert slopes["age", "sex"] == pytest.approx(1, abs=0.02)
    assert slopes[()] < 0.5


def test_only_controls_are_fitted_on_where_they_are_named(
    dataset: Path, model: Model, planted: Edges
) -> None:
    """Everyone else is adapted all the same."""
    settings = settings_for(
        dataset, adaptation_by="site", adaptation_subjects=("dx_now==control",)
    )
    adaptation = fit(settings, model)
    flavor = model.flavors[0]
    expected = planted[flavor][:4].mean(axis=0)
    np.testing.assert_allclose(
        adaptation.sites["north"].flavors[flavor].mean_new, expected, atol=ROUNDED
    )
    assert adaptation.sites["south"].flavors[flavor].n_subjects == 3
    latents = encode_cohort(model, read(settings, model), adaptation)
    assert all(np.isfinite(rows).all() for rows in latents.values())


def test_a_site_with_one_person_leaves_the_others_as_they_are(dataset: Path, model: Model) -> None:
    """Its own person is not predicted, which is said, and nobody else becomes NaN."""
    write_table(dataset / "participants.tsv", [*SITES[:11], "island"])
    settings = settings_for(dataset, adaptation_by="site")
    plan, inputs = plan_cohort(settings, model, read(settings, model), is_group=True)
    latents = encode_cohort(model, inputs, plan.adaptation)
    for rows in latents.values():
        assert np.isfinite(rows[:11]).all()
        assert np.isnan(rows[11]).all()
    text = plan.warned.list_of("sub-12")[-1]
    assert plan.warned.own.keys() == {"sub-12"}
    assert "NOT used as an input" in text
    assert "the site island (site) has no adaptation" in text
    assert "--adaptation-mean" in text
    assert plan.tell_site("sub-12") == {"AdaptationBy": "site", "AdaptationSite": "island"}


def test_a_flavor_that_a_site_lacks_is_left_out_there_alone(dataset: Path, model: Model) -> None:
    """A cohort of its own for each flavor."""
    lacking = model.flavors[1]
    for path in (dataset / "sub-07").parent.glob("sub-*/func/*FCpcorr*"):
        if int(path.name[4:6]) > 7:
            path.unlink()
    settings = settings_for(dataset, adaptation_by="site")
    cohort, adaptation = read(settings, model), fit(settings, model)
    assert lacking not in adaptation.sites["south"].flavors
    latents = encode_cohort(model, cohort, adaptation)
    assert np.isfinite(latents[lacking][:6]).all()
    assert np.isnan(latents[lacking][6:]).all()
    assert np.isfinite(latents[model.flavors[0]]).all()


def test_a_constant_edge_and_a_missing_region_stay_themselves(
    dataset: Path, model: Model, planted: Edges
) -> None:
    """No NaN spreads: an edge of 0 in everybody, and a region that one person lacks."""
    flavor = model.flavors[0]
    for k, row in enumerate(planted[flavor]):
        square = edges_to_square(np.where(np.arange(row.size) == 5, 0.0, row), diagonal=1.0)
        if k == 2:
            square[7], square[:, 7] = np.nan, np.nan
        write_relmat(relmat_path(dataset, {"sub": f"{k + 1:02d}"}, flavor, source=None), square)
    settings = settings_for(dataset, adaptation_by="site", adaptation_covariates=("age",))
    adaptation = fit(settings, model)
    latents = encode_cohort(model, read(settings, model), adaptation)
    assert np.isfinite(latents[flavor]).all()
    assert adaptation.sites["north"].flavors[flavor].mean_new[5] == pytest.approx(0, abs=1e-6)


def test_edges_that_no_site_can_be_asked_about_are_said(
    dataset: Path, model: Model, planted: Edges
) -> None:
    """A man of the north and a woman of the south alone have a region: sex and site are one."""
    flavor = model.flavors[0]
    for k, row in enumerate(planted[flavor]):
        if k not in {0, 6}:
            square = edges_to_square(row, diagonal=1.0)
            square[7], square[:, 7] = np.nan, np.nan
            path = relmat_path(dataset, {"sub": f"{k + 1:02d}"}, flavor, source=None)
            write_relmat(path, square)
    settings = settings_for(dataset, adaptation_by="site", adaptation_covariates=("sex",))
    plan, _ = plan_cohort(settings, model, read(settings, model), is_group=True)
    n_regions = flavor.n_regions
    said = f"{n_regions - 1} of {model.n_edges(flavor)} edges of {flavor}: taken from the training"
    assert any(said in text for text in plan.warned.list_of("sub-03"))
    assert isinstance(plan.adaptation, SiteAdaptation)
    fit = plan.adaptation.sites["north"].flavors[flavor]
    unknown = np.flatnonzero(fit.mean_new == fit.training_mean)
    assert len(unknown) == fit.n_of_training == n_regions - 1


def test_later_participants_take_up_what_the_group_saved(dataset: Path, model: Model) -> None:
    """To the last bit, by the site of each, and without asking for sites again."""
    fitted = fit(
        settings_for(dataset, adaptation_by="site", adaptation_covariates=("sex",)), model
    )
    cohort = read(settings_for(dataset), model)
    taken, notice = choose_adaptation(settings_for(dataset), model, cohort)
    assert isinstance(taken, SiteAdaptation)
    assert notice == ""
    assert taken.site_of == fitted.site_of
    first, second = (encode_cohort(model, cohort, one) for one in (fitted, taken))
    assert all(np.array_equal(first[flavor], second[flavor]) for flavor in first)


def test_a_saved_adaptation_comes_back_as_it_was(dataset: Path, model: Model) -> None:
    """Sites, effects and how covariates were encoded; the summary names the sites."""
    fitted = fit(
        settings_for(dataset, adaptation_by="site", adaptation_covariates=("age", "sex")), model
    )
    back = read_adaptation(write_adaptation(fitted, dataset / "copy.h5"))
    assert isinstance(back, SiteAdaptation)
    assert (back.column, back.mode, back.covariates) == ("site", fitted.mode, fitted.covariates)
    for flavor in model.flavors:
        np.testing.assert_array_equal(back.slopes[flavor], fitted.slopes[flavor])
        for site, one in list_sites(fitted, flavor).items():
            own = list_sites(back, flavor)[site]
            np.testing.assert_array_equal(own.mean_new, one.mean_new)
            assert (own.b0, own.n_subjects) == (one.b0, one.n_subjects)
    summary = json.loads((dataset / "copy.json").read_text())
    assert (summary["By"], sorted(summary["Sites"])) == ("site", ["north", "south"])


def test_a_file_by_site_adapts_no_connectome_whose_site_is_not_said(
    dataset: Path, model: Model
) -> None:
    """No map of all sites together is applied in silence."""
    fitted = fit(settings_for(dataset, adaptation_by="site"), model)
    with pytest.raises(CheckpointError, match="found one of 2 sites"):
        model.encode(model.flavors[0], np.zeros((1, 86 * 85 // 2)), fitted)


def test_a_new_site_is_fitted_with_saved_effects(
    dataset: Path, model: Model, planted: Edges, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two old people of a new site: their mean less what their age adds."""
    keep = settings_for(dataset, adaptation_by="site", adaptation_covariates=("age",))
    saved = write_adaptation(fit(keep, model), tmp_path_factory.mktemp("saved") / "theirs.h5")
    write_table(dataset / "participants.tsv", [*SITES[:10], "island", "island"])
    settings = settings_for(dataset, adaptation=str(saved))
    known = read_adaptation(saved)
    extended, _ = choose_adaptation(settings, model, read(settings, model), fits_first=True)
    assert isinstance(extended, SiteAdaptation)
    assert isinstance(known, SiteAdaptation)
    for flavor in model.flavors:
        (age,) = known.covariates[flavor]
        encoded = age.encode([AGES[10], AGES[11]])
        expected = (planted[flavor][10:] - encoded @ known.slopes[flavor]).mean(axis=0)
        found = extended.sites["island"].flavors[flavor]
        np.testing.assert_allclose(found.mean_new, expected, atol=ROUNDED)
        assert found.n_subjects == 2
        north, as_it_was = (one.sites["north"].flavors[flavor] for one in (extended, known))
        np.testing.assert_array_equal(north.mean_new, as_it_was.mean_new)
    again = read_adaptation(group_path(dataset, "adaptation.h5"))
    assert isinstance(again, SiteAdaptation)
    assert sorted(again.sites) == ["island", "north", "south"]


def test_one_person_is_adapted_to_a_published_mean(
    dataset: Path, model: Model, planted: Edges, tmp_path: Path
) -> None:
    """As on the cohort whose mean it is."""
    words = []
    for flavor, rows in planted.items():
        path = tmp_path / f"mean_{flavor.name}.tsv"
        np.savetxt(path, edges_to_square(rows.mean(axis=0), diagonal=0.0), delimiter="\t")
        words.append(f"{flavor.name}={path}")
    settings = settings_for(dataset, adaptation_mean=tuple(words))
    cohort = read(settings, model)
    given, notice = choose_adaptation(settings, model, cohort)
    assert given is not None
    assert notice == ""
    fitted, _ = choose_adaptation(settings_for(dataset), model, cohort)
    assert fitted is not None
    for flavor in model.flavors:
        assert given.flavors[flavor].b0 == pytest.approx(fitted.flavors[flavor].b0, rel=1e-4)
        assert given.flavors[flavor].n_subjects == 0
    one = encode_cohort(model, cohort, given)[model.flavors[0]][0]
    other = encode_cohort(model, cohort, fitted)[model.flavors[0]][0]
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_several_matrices_are_no_mean(dataset: Path, model: Model, planted: Edges) -> None:
    """Those of a cohort, given in place of its mean."""
    flavor = model.flavors[0]
    np.save(dataset / "all.npy", planted[flavor])
    settings = settings_for(dataset, adaptation_mean=(f"{flavor.name}={dataset / 'all.npy'}",))
    with pytest.raises(ValueError, match="expected one matrix of each flavor"):
        choose_adaptation(settings, model, read(settings, model))


def test_what_cannot_be_told_apart_is_refused_before_the_long_work(dataset: Path) -> None:
    """Group and site are one here; the columns and the sites are named."""
    rows = (dataset / "participants.tsv").read_text().replace("dx_now", "group")
    for site, group in (("north", "control"), ("south", "patient")):
        rows = rows.replace(f"{site}\t", f"{site}\t", 1)
        lines = [
            "\t".join([*line.split("\t")[:4], group]) if f"\t{site}\t" in line else line
            for line in rows.splitlines()
        ]
        rows = "\n".join(lines) + "\n"
    (dataset / "participants.tsv").write_text(rows)
    members = list_members(dataset)
    with pytest.raises(SettingsError, match="north only control, south only patient"):
        check_sites(settings_for(dataset, adaptation_by="site"), members)
    both = settings_for(dataset, adaptation_by="site", adaptation_covariates=("group",))
    with pytest.raises(SettingsError, match="group=patient the same within each of the sites"):
        check_sites(both, members)


def test_a_column_that_no_table_has_is_named(dataset: Path) -> None:
    """With the nearest one; and a table that is nowhere is asked for."""
    members = list_members(dataset)
    with pytest.raises(SettingsError, match=r"found none with sites.*site"):
        check_sites(settings_for(dataset, adaptation_by="sites"), members)
    (dataset / "participants.tsv").unlink()
    with pytest.raises(InputError, match=r"participants\.tsv"):
        check_sites(settings_for(dataset, adaptation_by="site"), members)


def test_the_table_of_any_dataset_of_the_run_will_do(dataset: Path, tmp_path: Path) -> None:
    """One of a derivative dataset that has the column, where the raw one has not."""
    other = tmp_path / "fmriprep"
    other.mkdir()
    (dataset / "participants.tsv").rename(other / "participants.tsv")
    (dataset / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\n")
    settings = settings_for(dataset, adaptation_by="site")
    data = replace(settings.data, derivatives={"fmriprep": other})
    check_sites(replace(settings, data=data), list_members(dataset))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"adaptation_covariates": ("age",)}, "expected --adaptation-by COLUMN beside it"),
        ({"adaptation_by": "site", "adaptation": "none"}, "an adaptation that shifts"),
        ({"adaptation_by": "site", "adaptation_mode": "meanfit"}, "an adaptation that shifts"),
        ({"adaptation_by": "site", "adaptation_covariates": ("site",)}, "found site in both"),
        ({"adaptation_mean": ("a=b",), "adaptation_by": "site"}, "the means of one site"),
        ({"adaptation_mean": ("a=b",), "adaptation": "x.h5"}, "the means of one site"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    words: dict[str, object], says: str
) -> None:
    """Before anything is read."""
    with pytest.raises(SettingsError, match=says):
        PredictionSettings(**words)  # type: ignore[arg-type]


def test_a_file_of_no_sites_is_not_by_site(
    dataset: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused where it is given by name, and passed over where it is merely there."""
    saved = settings_for(dataset)
    choose_adaptation(saved, model, read(saved, model), fits_first=True)
    path = group_path(dataset, "adaptation.h5")
    given = settings_for(dataset, adaptation=str(path), adaptation_by="site")
    with pytest.raises(SettingsError, match="fitted on a cohort as a whole"):
        choose_adaptation(given, model, read(given, model))
    by_site = settings_for(dataset, adaptation_by="site")
    with caplog.at_level(logging.WARNING):
        found, _ = choose_adaptation(by_site, model, read(by_site, model))
    assert isinstance(found, SiteAdaptation)
    assert "was fitted for a cohort as a whole, not by site, and is not used" in caplog.text


@pytest.mark.parametrize("odd", ["89+", ">89", "61,5"])
def test_a_number_that_is_not_spelled_as_one_is_refused(
    dataset: Path, model: Model, odd: str
) -> None:
    """Or every age would be a word with an effect of its own."""
    path = dataset / "participants.tsv"
    path.write_text(path.read_text().replace("\t70\t", f"\t{odd}\t"))
    settings = settings_for(dataset, adaptation_by="site", adaptation_covariates=("age",))
    with pytest.raises(SettingsError, match=f"expected age as numbers.*{re.escape(odd)}"):
        fit(settings, model)


def test_words_for_what_is_not_known_are_no_site_and_no_value(
    dataset: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever people write there; and it is said."""
    write_table(dataset / "participants.tsv", ["unknown", "Unknown", *SITES[2:]])
    path = dataset / "participants.tsv"
    path.write_text(path.read_text().replace("\t70\t", "\tnone\t"))
    settings = settings_for(dataset, adaptation_by="site", adaptation_covariates=("age",))
    adaptation = fit(settings, model)
    assert list(adaptation.sites) == ["north", "south"]
    assert {f.n_subjects for f in adaptation.sites["north"].flavors.values()} == {4}
    assert "their age is not known: sub-08" in caplog.text


def write_groups(folder: Path, first: str) -> list[str]:
    """Write a table of participants with a group for the first six and another for the rest."""
    folder.mkdir()
    lines = ["participant_id\tdx"]
    lines += [f"sub-{k + 1:02d}\t{first if k < 6 else 'two'}" for k in range(12)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    return lines


def test_groups_of_another_table_are_looked_at_too(dataset: Path, tmp_path: Path) -> None:
    """The table of sites has none, or one column of several that says nothing."""
    other = tmp_path / "fmriprep"
    lines = write_groups(other, "one")
    settings = settings_for(dataset, adaptation_by="site")
    data = replace(settings.data, derivatives={"fmriprep": other})
    members = list_members(dataset)
    check_sites(settings, members)
    with pytest.raises(SettingsError, match="north only one, south only two"):
        check_sites(replace(settings, data=data), members)

    (other / "participants.tsv").unlink()
    own = (dataset / "participants.tsv").read_text().splitlines()
    own = [f"{line}\t{end.split(chr(9))[1]}\t1" for line, end in zip(own, lines, strict=True)]
    own[0] = own[0].removesuffix("1") + "group"
    (dataset / "participants.tsv").write_text("\n".join(own) + "\n")
    with pytest.raises(SettingsError, match="north only one, south only two"):
        check_sites(settings, members)


def test_groups_that_are_not_known_in_another_table_are_none(
    dataset: Path, tmp_path: Path
) -> None:
    """As those of the table of sites: sites of which nobody knows the group share any."""
    other = tmp_path / "fmriprep"
    write_groups(other, "Unknown")
    settings = settings_for(dataset, adaptation_by="site")
    data = replace(settings.data, derivatives={"fmriprep": other})
    check_sites(replace(settings, data=data), list_members(dataset))
