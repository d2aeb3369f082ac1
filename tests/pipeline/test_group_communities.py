"""Communities of an OUTPUT_DIR: files, what is not done again, and who fails alone."""

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.analysis_settings import AnalysisSettings
from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path, timeseries_path
from kraken_bids.cli.analysis_options import check_analysis_options
from kraken_bids.cohort.failures import Failure
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.standing import record_path
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.pipeline import group_communities, levels
from kraken_bids.pipeline.community_events import write_events
from kraken_bids.pipeline.community_places import places_in_folder
from kraken_bids.pipeline.group_communities import write_group_communities
from kraken_bids.pipeline.written_communities import ScanPresence, WrittenCommunities
from kraken_bids.report.page import draw_figures, render_page
from kraken_bids.report.section import Page
from kraken_bids.report.sections import communities, presence
from kraken_bids.report.sections.presence import list_presence
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.settings import DataSettings, Settings


@pytest.fixture(autouse=True)
def _search_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    brief = partial(CommunitySettings, epochs=20, n_seeds=2)
    monkeypatch.setattr(group_communities, "CommunitySettings", brief)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        DataSettings(tmp_path / "bids", tmp_path / "out"),
        analysis=AnalysisSettings(("communities",), n_communities="3", n_nulls=0),
    )


@pytest.fixture
def members(settings: Settings) -> list[Member]:
    rng = np.random.default_rng(0)
    labels = np.arange(86) % 3
    found = []
    for subject in ("01", "02", "03"):
        values = 1.5 * rng.standard_normal((60, 3))[:, labels] + rng.standard_normal((60, 86))
        entities = {"sub": subject, "task": "rest"}
        path = timeseries_path(settings.data.output_dir, entities, "fs86", is_clean=True)
        write_table(path, {f"r{k}": values[:, k] for k in range(86)})
        found.append(Member(subject, None, {}))
    return found


def test_communities_of_everyone_are_written_once(
    settings: Settings, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Failure] = []
    write_group_communities(settings, members, failures)
    group = settings.data.output_dir / "group"
    labels = read_columns(group / "atlas-fs86_desc-communities_dseg.tsv")["community"]
    assert all(len(set(labels[k::3])) == 1 for k in range(3))
    func = settings.data.output_dir / "sub-02" / "func"
    presence = read_columns(func / "sub-02_task-rest_atlas-fs86_desc-communities_timeseries.tsv")
    assert {len(own) for own in presence.values()} == {60}
    history = group / "atlas-fs86_desc-communities_history.json"
    assert len(json.loads(history.read_text())["Scans"]) == 3
    written = history.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        write_group_communities(settings, members, failures)
    assert "communities of fs86 are up to date" in caplog.text
    assert history.stat().st_mtime_ns == written
    assert not failures


def test_a_damaged_series_fails_its_subject_alone(
    settings: Settings, members: list[Member]
) -> None:
    func = settings.data.output_dir / "sub-02" / "func"
    next(func.glob("*.tsv")).write_text("r0\tr1\n1\n")
    failures: list[Failure] = []
    write_group_communities(settings, members, failures)
    assert [(one.subject, one.stage) for one in failures] == [("02", "communities")]
    assert (settings.data.output_dir / "sub-03/func").glob("*desc-communities*")
    group = settings.data.output_dir / "group"
    history = json.loads((group / "atlas-fs86_desc-communities_history.json").read_text())
    assert [name[:6] for name in history["Scans"]] == ["sub-01", "sub-03"]


def test_a_damaged_series_fails_again_until_it_is_mended(
    settings: Settings, members: list[Member]
) -> None:
    """Else the run after the next would say that all is well."""
    own = next((settings.data.output_dir / "sub-02" / "func").glob("*.tsv"))
    whole = own.read_bytes()
    own.write_text("r0\tr1\n1\n")
    for _ in range(2):
        failures: list[Failure] = []
        write_group_communities(settings, members, failures)
        assert [one.subject for one in failures] == ["02"]
    own.write_bytes(whole)
    write_group_communities(settings, members, failures := [])
    assert not failures
    assert len(_read_history(settings)["Scans"]) == 3


def test_a_scan_without_enough_volumes_fails_its_subject_alone(
    settings: Settings, members: list[Member]
) -> None:
    own = next((settings.data.output_dir / "sub-01" / "func").glob("*.tsv"))
    write_json(sidecar_path(own), {"VolumesKept": [0] * 60})
    failures: list[Failure] = []
    write_group_communities(settings, members, failures)
    assert [(one.subject, one.stage) for one in failures] == [("01", "communities")]
    assert "at least 20 volumes that count; found 0 of 60" in failures[0].message
    assert [name[:6] for name in _read_history(settings)["Scans"]] == ["sub-02", "sub-03"]


def test_a_header_in_another_order_is_put_into_that_of_the_others(
    settings: Settings, members: list[Member]
) -> None:
    """Whoever comes first: communities are those of the tables before."""
    write_group_communities(settings, members, [])
    places = group_communities.places_in_dataset(settings.data.output_dir, "fs86")
    before = places.regions("dseg").read_text()
    own = next((settings.data.output_dir / "sub-01" / "func").glob("*desc-hpf*.tsv"))
    columns = read_columns(own)
    order = np.random.default_rng(1).permutation(86).tolist()
    write_table(own, {f"r{k}": columns[f"r{k}"] for k in order})
    write_group_communities(settings, members, failures := [])
    assert not failures
    assert len(_read_history(settings)["Scans"]) == 3
    assert places.regions("dseg").read_text() == before


def test_a_first_scan_of_other_regions_fails_its_subject_alone(
    settings: Settings, members: list[Member]
) -> None:
    """What most have is right, not what the first has."""
    own = next((settings.data.output_dir / "sub-01" / "func").glob("*.tsv"))
    columns = read_columns(own)
    write_table(own, {f"x{name}": values for name, values in columns.items()})
    write_group_communities(settings, members, failures := [])
    assert [one.subject for one in failures] == ["01"]
    assert "expected the regions of" in failures[0].message
    assert [name[:6] for name in _read_history(settings)["Scans"]] == ["sub-02", "sub-03"]


def test_presence_that_cannot_be_written_fails_its_subject_alone(
    settings: Settings, members: list[Member]
) -> None:
    """The others, and what all share, are written; the next run tries again."""
    output = settings.data.output_dir
    name = "{0}/func/{0}_task-rest_atlas-fs86_desc-communities_timeseries.tsv"
    in_the_way = output / name.format("sub-02")
    (in_the_way / "full").mkdir(parents=True)
    write_group_communities(settings, members, failures := [])
    assert [(one.subject, one.stage) for one in failures] == [("02", "communities")]
    assert (output / name.format("sub-03")).is_file()
    assert (output / "group" / "atlas-fs86_desc-communities_dseg.tsv").is_file()
    record = _read_history(settings)
    assert ["sub-02" in one for one in record["SourcesNotWritten"]] == [True]
    shutil.rmtree(in_the_way)
    write_group_communities(settings, members, failures := [])
    assert not failures
    assert in_the_way.is_file()
    assert _read_history(settings)["SourcesNotWritten"] == []


def test_nothing_of_an_earlier_search_stays_beside_another(
    settings: Settings, members: list[Member]
) -> None:
    """Presence of scans that are no longer searched is of other communities."""
    output = settings.data.output_dir
    write_group_communities(
        replace(settings, analysis=replace(settings.analysis, n_communities="auto")), members, []
    )
    group = output / "group"
    start = "atlas-fs86_desc-communities_"
    assert (group / f"{start}resolution.tsv").exists()
    for name in ("events", "agreement"):
        (group / f"{start}{name}.tsv").write_text("of another search\n")
    stranger = output / "sub-03" / "func" / "mine.tsv"
    stranger.touch()
    write_group_communities(settings, members[:2], [])
    left = [
        name
        for name in ("resolution", "events", "agreement")
        if (group / f"{start}{name}.tsv").exists()
    ]
    assert not left
    presence = sorted(output.glob("sub-*/func/*_desc-communities_timeseries.tsv"))
    assert [path.name[:6] for path in presence] == ["sub-01", "sub-02"]
    assert len([*output.glob("sub-*/func/*_desc-communities_timeseries.json")]) == 2
    assert stranger.exists()


def test_what_is_stopped_in_the_middle_is_done_again(
    settings: Settings, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_group_communities(settings, members, [])
    anew = replace(settings, analysis=replace(settings.analysis, n_communities="4"))
    with monkeypatch.context() as patch:
        patch.setattr(group_communities, "write_record", _stop)
        with pytest.raises(KeyboardInterrupt):
            write_group_communities(anew, members, [])
    assert not (
        settings.data.output_dir / "group" / "atlas-fs86_desc-communities_history.json"
    ).exists()
    write_group_communities(settings, members, [])
    assert _read_history(settings)["Settings"]["n_communities"] == 3
    shares = settings.data.output_dir / "group" / "atlas-fs86_desc-communities_probseg.tsv"
    assert [*read_columns(shares)] == ["index", "name", "C1", "C2", "C3"]


def _stop(*_: object, **_named: object) -> None:
    raise KeyboardInterrupt


def _read_history(settings: Settings) -> dict[str, Any]:
    path = settings.data.output_dir / "group" / "atlas-fs86_desc-communities_history.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_events_that_come_later_are_taken_in(settings: Settings, members: list[Member]) -> None:
    """Here one table at the root holds for every scan of the task."""
    for path in settings.data.output_dir.glob("sub-*/func/*_timeseries.tsv"):
        write_json(sidecar_path(path), {"RepetitionTime": 2.0})
    write_group_communities(settings, members, [])
    settings.data.bids_dir.mkdir(parents=True)
    events = {"onset": [10.0, 40.0], "duration": [1, 1], "trial_type": ["faces", None]}
    write_table(settings.data.bids_dir / "task-rest_events.tsv", events)
    write_group_communities(settings, members, [])
    table = settings.data.output_dir / "group" / "atlas-fs86_desc-communities_events.tsv"
    responses = read_columns(table)
    assert set(responses["trial_type"]) == {"faces"}
    assert set(responses["n_events"]) == {3.0}


def test_a_changed_connectome_is_compared_anew_and_nothing_searched(
    settings: Settings, members: list[Member]
) -> None:
    """The search depends on series alone."""
    output = settings.data.output_dir
    group = output / "group"
    flavor = parse_flavor("FCcorr_fs86_hpf")
    path = relmat_path(output, {"sub": "01"}, flavor, source=None)
    own = [Member("01", None, {flavor: path}), *members[1:]]
    labels = np.arange(86) % 3
    agreements, searched = [], []
    for shared in (labels, labels // 2, None):
        if shared is None:
            own = members
        else:
            write_relmat(path, (shared[:, None] == shared) * 0.5 + 0.1)
        write_group_communities(settings, own, [])
        searched.append((group / "atlas-fs86_desc-communities_history.tsv").stat().st_mtime_ns)
        table = group / "atlas-fs86_desc-communities_agreement.tsv"
        agreements.append(read_columns(table)["rand_index"][0] if table.exists() else None)
    assert agreements[0] == 1.0
    assert agreements[1] is not None
    assert agreements[1] < 0.9
    assert agreements[2] is None  # that of a connectome that is gone
    assert len(set(searched)) == 1


def test_presence_that_is_gone_is_said_where_nothing_else_changed(
    settings: Settings, members: list[Member]
) -> None:
    write_group_communities(settings, members, [])
    output = settings.data.output_dir
    gone = next(output.glob("sub-02/func/*_desc-communities_timeseries.tsv"))
    gone.unlink()
    with pytest.raises(InputError, match=gone.name):
        write_group_communities(settings, members, [])


def test_what_stands_beside_communities_is_not_read_again(
    settings: Settings, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_group_communities(settings, members, [])
    monkeypatch.delattr(group_communities, "read_communities")
    write_group_communities(settings, members, [])


def test_volumes_that_count_no_more_are_searched_anew(
    settings: Settings, members: list[Member]
) -> None:
    """By the table of volumes beside a series whose sidecar does not say it."""
    write_group_communities(settings, members, [])
    kept = np.ones(60)
    kept[10:20] = 0
    func = settings.data.output_dir / "sub-01" / "func"
    write_table(func / "sub-01_task-rest_desc-quality_timeseries.tsv", {"kept": kept})
    write_group_communities(settings, members, [])
    presence = read_columns(func / "sub-01_task-rest_atlas-fs86_desc-communities_timeseries.tsv")
    assert np.isnan(presence["C1"][10:20]).all()


def test_a_run_that_the_last_run_left_aside_is_not_searched(
    settings: Settings, members: list[Member]
) -> None:
    """Its series lie there still."""
    output, flavor = settings.data.output_dir, parse_flavor("FCcorr_fs86_hpf")
    func = output / "sub-01" / "func"
    own = next(func.glob("*_timeseries.tsv"))
    for run in "12":
        (func / own.name.replace("rest", f"rest_run-{run}")).write_bytes(own.read_bytes())
    own.unlink()
    path = relmat_path(output, {"sub": "01", "task": "rest"}, flavor, source=None)
    write_relmat(path, np.eye(86))
    runs = [{"File": "sub-01_task-rest_run-1_bold.nii.gz"}]
    write_json(sidecar_path(path), {"Runs": runs, "RunDigest": "a"})
    noted = {"Measured": {path.relative_to(output).as_posix(): "a"}}
    write_json(record_path(output, "01", None), noted)
    write_group_communities(settings, members, [])
    scans = _read_history(settings)["Scans"]
    assert [name[:21] for name in scans if name[:6] == "sub-01"] == ["sub-01_task-rest_run-"]
    assert "run-1" in scans[0]


def test_a_run_in_two_spaces_counts_once(
    settings: Settings, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    """An earlier run with another --space has left the second."""
    func = settings.data.output_dir / "sub-01" / "func"
    own = next(func.glob("*_timeseries.tsv"))
    for space in ("MNI", "T1w"):
        (func / own.name.replace("_atlas", f"_space-{space}_atlas")).write_bytes(own.read_bytes())
    own.unlink()
    flavor = parse_flavor("FCcorr_fs86_hpf")
    measured = {flavor: func / "sub-01_task-rest_space-T1w_atlas-fs86_meas-x_relmat.dense.tsv"}
    write_group_communities(settings, [Member("01", None, measured), *members[1:]], [])
    scans = _read_history(settings)["Scans"]
    assert [name.split("_")[2] for name in scans] == ["space-T1w", "atlas-fs86", "atlas-fs86"]
    assert "2 series of one run in different spaces" in caplog.text


def test_sources_are_named_as_bids_does(settings: Settings, members: list[Member]) -> None:
    write_group_communities(settings, members, [])
    assert _read_history(settings)["Sources"][0] == (
        "bids::sub-01/func/sub-01_task-rest_atlas-fs86_desc-hpf_timeseries.tsv"
    )


def test_too_few_surrogates_count_nobody_beyond_them(
    settings: Settings, members: list[Member]
) -> None:
    """Of 2 surrogates p is at least 1/3: 0 scans at p <= 0.05 would say nothing."""
    few = replace(settings, analysis=replace(settings.analysis, n_nulls=2))
    write_group_communities(few, members, [])
    group = settings.data.output_dir / "group"
    rows = read_columns(group / "atlas-fs86_desc-communities_communities.tsv")
    assert np.isnan(rows["n_beyond_phase"]).all()
    assert not rows["n_scans"].any()


def test_communities_are_compared_with_connectomes_and_events(
    settings: Settings, members: list[Member]
) -> None:
    """Planted in all: series, FC, SC; events of one kind in one run."""
    output = settings.data.output_dir
    labels = np.arange(86) % 3
    square = (labels[:, None] == labels) * 0.5 + 0.1
    own = []
    for member in members:
        paths = {}
        for name in ("FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"):
            flavor = parse_flavor(name)
            paths[flavor] = relmat_path(output, member.entities, flavor, source=None)
            write_relmat(paths[flavor], square)
        predicted = relmat_path(output, member.entities, min(paths), source="fusionSC")
        write_relmat(predicted, square)
        latents_path(output, member.subject, None).touch()
        own.append(Member(member.subject, None, paths))
    func = settings.data.bids_dir / "sub-01" / "func"
    func.mkdir(parents=True)
    events = {"onset": [10.0, 40.0], "duration": [1, 1], "trial_type": ["faces", "faces"]}
    write_table(func / "sub-01_task-rest_events.tsv", events)
    for path in output.glob("sub-*/func/*_timeseries.tsv"):
        write_json(sidecar_path(path), {"RepetitionTime": 2.0})
    write_group_communities(settings, own, [])
    group = output / "group"
    agreement = read_columns(group / "atlas-fs86_desc-communities_agreement.tsv")
    assert len(agreement["one"]) == 6
    np.testing.assert_allclose(agreement["mutual_information"], 1)
    modalities = read_columns(group / "atlas-fs86_desc-communities_modalities.tsv")
    assert (modalities["dynamic"] == modalities["measured SCifod2act_fs86_volnorm"]).all()
    responses = read_columns(group / "atlas-fs86_desc-communities_events.tsv")
    assert set(responses["trial_type"]) == {"faces"}
    assert set(responses["n_events"]) == {2.0}
    assert (responses["lag"].min(), responses["lag"].max()) == (-6.0, 24.0)
    data = communities.SECTION.gather(WrittenGroup(output, own))
    page = Page((communities.SECTION,), {"communities": data}, "t", "k", "h", (), (), ())
    html = render_page(page, draw_figures(page))
    assert "predicted from structure" in html
    assert "events at random times" in html


def test_predictions_of_an_earlier_run_are_not_compared(
    settings: Settings, members: list[Member]
) -> None:
    """Their tables stay where the last run wrote an archive, or was asked for other sources."""
    output, flavor = settings.data.output_dir, parse_flavor("FCcorr_fs86_hpf")
    labels = np.arange(86) % 3
    square = (labels[:, None] == labels) * 0.5 + 0.1
    measured = relmat_path(output, {"sub": "01"}, flavor, source=None)
    predicted = relmat_path(output, {"sub": "01"}, flavor, source="fusionSC")
    latents = latents_path(output, "01", None)
    for path in (measured, predicted):
        write_relmat(path, square)
    latents.touch()
    compared = []
    for run in ("first", "second"):
        write_json(sidecar_path(latents), {"RunDigest": run})
        write_json(sidecar_path(predicted), {"RunDigest": "first"})
        write_group_communities(settings, [Member("01", None, {flavor: measured})], [])
        table = output / "group" / "atlas-fs86_desc-communities_modalities.tsv"
        compared.append(f"{flavor} predicted from structure" in read_columns(table))
    assert compared == [True, False]


def test_without_series_it_is_said_what_to_do(settings: Settings) -> None:
    with pytest.raises(InputError, match="Run the participant level on functional data first"):
        write_group_communities(settings, [Member("01", None, {})], [])


def test_the_page_of_the_group_shows_them(settings: Settings, members: list[Member]) -> None:
    write_group_communities(settings, members, [])
    group = WrittenGroup(settings.data.output_dir, members)
    data = communities.SECTION.gather(group)
    assert data is not None
    assert (data[0].atlas, data[0].n_scans) == ("fs86", 3)
    page = Page((communities.SECTION,), {"communities": data}, "t", "k", "h", (), (), ())
    html = render_page(page, draw_figures(page))
    assert "Leiden, mean correlation" in html
    assert html.count("<img") >= 4


def test_pages_say_that_series_were_measured_anew_since(
    settings: Settings, members: list[Member]
) -> None:
    """By what the files hold: copies of them are the same."""
    output = settings.data.output_dir
    write_group_communities(settings, members, [])
    series = timeseries_path(output, {"sub": "02", "task": "rest"}, "fs86", is_clean=True)

    def tell() -> list[bool]:
        data = communities.SECTION.gather(WrittenGroup(output, members))
        own = [list_presence(Written(output, member))[0] for member in members]
        assert data is not None
        assert [one.is_outdated for one in own] == [one.is_outdated for one in data[0].scans]
        page = Page((communities.SECTION,), {"communities": data}, "t", "k", "h", (), (), ())
        html = render_page(page, {})
        assert ("measured anew after this search" in html) == any(one.is_outdated for one in own)
        page = Page((presence.SECTION,), {"communities": own}, "t", "k", "h", (), (), ())
        assert ("of 3 scans are others now" in render_page(page, {})) == any(
            one.is_outdated for one in own
        )
        return [one.is_outdated for one in own]

    words = series.read_text()
    series.write_text(words)
    assert tell() == [False, False, False]
    write_table(series, {f"r{k}": np.arange(60.0) for k in range(86)})
    assert tell() == [False, True, False]
    series.unlink()
    assert tell() == [False, True, False]


@pytest.mark.parametrize(
    ("analyses", "kept"),
    [
        (("connectomes",), ["inputs", "connectomes", "pictures", "communities", "volumes"]),
        (
            ("communities",),
            [
                *("inputs", "connectomes", "pictures", "predictions"),
                *("discordance", "reliability", "volumes"),
            ],
        ),
        (("connectomes", "communities"), ["inputs", "connectomes", "pictures", "volumes"]),
    ],
)
def test_failures_of_an_analysis_stay_until_it_is_done_again(
    settings: Settings, analyses: tuple[str, ...], kept: list[str]
) -> None:
    own = replace(settings, analysis=replace(settings.analysis, analysis=analyses))
    assert levels.list_kept_stages(own, is_group=True) == kept


@pytest.mark.parametrize(
    ("asked", "level", "words"),
    [
        (AnalysisSettings(("communities",)), "participant", "--analysis changes nothing at"),
        (AnalysisSettings(gamma=2.0), "group", "--gamma: no effect without --analysis"),
        (AnalysisSettings(("communities",), gamma=2.0), "group", "--gamma changes nothing with"),
        (AnalysisSettings(("communities",), n_communities="4", gamma=2.0), "group", ""),
        (AnalysisSettings(), "participant", ""),
        (AnalysisSettings(relevance=True), "participant", "--relevance: no effect without"),
        (AnalysisSettings(cleaning="24p"), "group", "volumes of the participant level"),
    ],
)
def test_options_that_change_nothing_are_named(
    asked: AnalysisSettings, level: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_analysis_options(asked, level)
    assert words in caplog.text
    assert bool(words) == bool(caplog.text)


def test_an_unknown_analysis_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="--analysis: expected one of connectomes, communities"
    ):
        AnalysisSettings(("networks",))
    with pytest.raises(SettingsError, match="--n-communities: expected a number or auto"):
        AnalysisSettings(n_communities="some")
    with pytest.raises(SettingsError, match="--n-communities: expected 2 to 1000"):
        AnalysisSettings(n_communities="1")


def test_the_group_level_alone_needs_no_torch() -> None:
    """Which takes 250 MB and more than a second; communities bring it along where asked for."""
    code = "import kraken_bids.pipeline.group, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_events_of_a_scan_with_gaps_are_those_of_the_scan_without(tmp_path: Path) -> None:
    """What was cut out of a series counts as little as what is left out in its place."""
    rng = np.random.default_rng(0)
    presence, gone = rng.random((60, 2)), np.arange(60) % 7 == 2
    events = tmp_path / "events.tsv"
    write_table(events, {"onset": [0.0, 40.0], "duration": [1, 1], "trial_type": ["a", "a"]})
    tables = []
    for name, values, facts in (
        ("whole", np.where(gone[:, None], np.nan, presence), {}),
        ("cut", presence[~gone], {"VolumeTiming": 2.0 * np.flatnonzero(~gone)}),
    ):
        series = tmp_path / f"sub-{name}_timeseries.tsv"
        write_json(sidecar_path(series), {"StartTime": 1.0, **facts})
        found = WrittenCommunities(
            ("C1", "C2"), ("r0", "r1"), np.arange(2), 1.0, 0, {series: ScanPresence(values, 2.0)}
        )
        places = places_in_folder(tmp_path / name)
        write_events({series: events}, found=found, places=places)
        tables.append(read_columns(places.table("events")))
    for column, values in tables[0].items():
        np.testing.assert_array_equal(values, tables[1][column], column)
