"""Dynamic communities of everyone in OUTPUT_DIR, for each atlas by itself."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CLEANED, sidecar_path, timeseries_path
from kraken_bids.cohort.failures import Failure, failing_alone, going_on
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.region_series import align_regions, read_region_series
from kraken_bids.cohort.run_volumes import find_volume_tables, list_run_entities
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.task_events import find_events
from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.writing import write_json
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.scans import prepare_scans
from kraken_bids.models.devices import resolve_device
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.community_context import list_compared, write_modalities
from kraken_bids.pipeline.community_events import write_events
from kraken_bids.pipeline.community_files import write_communities, write_record
from kraken_bids.pipeline.community_places import LABEL, places_in_dataset, remove_earlier
from kraken_bids.pipeline.community_search import CommunityOptions, search_communities
from kraken_bids.pipeline.written_communities import list_scans, list_written, read_communities
from kraken_bids.report.leftovers import Leftovers
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

STAGE = "communities"


def write_group_communities(
    settings: Settings, members: Sequence[Member], failures: list[Failure]
) -> None:
    """Search the cleaned series of every atlas for communities, and write what is found.

    An atlas whose series and settings are those of the last run is not searched again, unless
    forced; what stands beside its communities is written where connectomes or events changed.

    Parameters
    ----------
    members : sequence of Member
        Whose series.
    failures : list of Failure
        Gets the series that cannot be read.

    Raises
    ------
    InputError
        If there are no cleaned series.
    """
    output = settings.data.output_dir
    files = _list_series(settings, members)
    if not files:
        raise InputError(
            f"--analysis communities: expected cleaned region series in {output} "
            f"(sub-*/func/*_desc-{CLEANED}_timeseries.tsv); found none of the atlases asked for. "
            "Run the participant level on functional data first."
        )
    search, options = _read_options(settings)
    problems: list[Exception] = []
    for atlas, own in sorted(files.items()):
        with going_on(problems):
            if _search(settings, atlas, own, failures, search=search, options=options):
                _compare(settings, members, atlas)
    if problems:
        raise problems[0]


def _search(
    settings: Settings,
    atlas: str,
    files: Mapping[Path, Member],
    failures: list[Failure],
    *,
    search: CommunitySettings,
    options: CommunityOptions,
) -> bool:
    """Search for the communities of an atlas, unless that is done; says whether there are any."""
    output = settings.data.output_dir
    # the device changes where numbers are computed, not what is searched for
    words = (str(search), str(replace(options, device="")), file_stamps(_list_read(files)))
    now = digest(LABEL, __version__, *words)
    if _read_record(output, atlas).text(FILE.run_digest) == now and not settings.run.force:
        logger.info("communities of %s are up to date, skipped (--force redoes them)", atlas)
        return True
    logger.info("communities of %s", atlas)
    n_before = len(failures)
    scans = _read_scans(files, failures)
    if not scans:
        return False
    result = search_communities(scans, search, options)
    places, whose = places_in_dataset(output, atlas), {one.name: files[one.path] for one in scans}
    remove_earlier(output, atlas, places, scans)
    written = write_communities(
        result, places, lambda scan, _: _failing(failures, whose[scan.name])
    )
    # where somebody failed, the next run tries again
    write_record(result, places, written, digest=now if len(failures) == n_before else "")
    return True


def _failing(failures: list[Failure], member: Member) -> AbstractContextManager[None]:
    return failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE)


def _compare(settings: Settings, members: Sequence[Member], atlas: str) -> None:
    """Write what stands beside the communities of an atlas, unless it is there already."""
    data, places = settings.data, places_in_dataset(settings.data.output_dir, atlas)
    record = _read_record(data.output_dir, atlas)
    scans = list_scans(data.output_dir, places)
    events = {path: find_events(data.bids_dir, path) for path in scans}
    compared = list_compared(data.output_dir, members, atlas)
    read = [*list_written(places, scans), *compared, *events.values()]
    now = digest(LABEL, __version__, file_stamps(read))
    if record.text("ComparedDigest") == now and not settings.run.force:
        return
    logger.info("communities of %s beside connectomes and events", atlas)
    found = read_communities(data.output_dir, places)
    write_modalities(data.output_dir, members, atlas, found=found, places=places)
    write_events(events, found=found, places=places)
    write_json(sidecar_path(places.table("history")), {**record.plain, "ComparedDigest": now})


def _read_record(output_dir: Path, atlas: str) -> Facts:
    return read_facts(sidecar_path(places_in_dataset(output_dir, atlas).table("history")))


def _read_options(settings: Settings) -> tuple[CommunitySettings, CommunityOptions]:
    """Say how a run's communities are searched for; a baseline that is not installed is named."""
    asked = settings.analysis
    search = CommunitySettings(gamma=asked.gamma)
    if asked.n_communities != "auto":
        search = replace(search, n_communities=int(asked.n_communities))
    options = CommunityOptions(
        is_auto=asked.n_communities == "auto",
        has_baseline=find_spec("leidenalg") is not None,
        n_nulls=asked.n_nulls,
        device=str(resolve_device(settings.prediction.device)),
    )
    if not options.has_baseline:
        logger.warning("no Leiden baseline: pip install 'kraken-bids[communities]' for it")
    return search, options


def _list_series(settings: Settings, members: Sequence[Member]) -> dict[str, dict[Path, Member]]:
    """List the cleaned series of everyone, and whose each is, by atlas."""
    output = settings.data.output_dir
    found: dict[str, dict[Path, Member]] = {}
    for member in members:
        folder = timeseries_path(output, member.entities, "x").parent
        runs: dict[tuple[str, ...], list[Path]] = {}
        leftovers = Leftovers(output, member.subject, member.session)
        for path in sorted(folder.glob(f"*_desc-{CLEANED}_timeseries.tsv")):
            atlas = parse_name(path).get("atlas", "")
            is_asked = atlas in settings.data.atlases or atlas not in list_parcellations()
            if is_asked and not leftovers.holds(path):
                run = list_run_entities(path).values()
                runs.setdefault((atlas, *run), []).append(path)
        for (atlas, *_), paths in runs.items():
            found.setdefault(atlas, {})[_choose_space(paths, member, atlas)] = member
    return found


def _choose_space(paths: Sequence[Path], member: Member, atlas: str) -> Path:
    """Of one run's series in several spaces take that of the connectomes: a run counts once."""
    spaces = [
        parse_name(path).get("space")
        for flavor, path in member.connectomes.items()
        if flavor.parcellation == atlas and flavor.group == "FC"
    ]
    chosen = next((path for path in paths if parse_name(path).get("space") in spaces), paths[0])
    if len(paths) > 1:
        logger.warning(
            "%s: %d series of one run in different spaces; communities are searched in %s",
            member.label, len(paths), chosen.name,
        )  # fmt: skip
    return chosen


def _list_read(series: Iterable[Path]) -> list[Path]:
    """List the files that a search depends on: series, and what says which volumes count."""
    return [
        read for path in series for read in (path, sidecar_path(path), *find_volume_tables(path))
    ]


def _read_scans(files: Mapping[Path, Member], failures: list[Failure]) -> list[RegionSeries]:
    """Read every scan by itself; one that cannot be used fails its subject alone.

    Regions are those that most scans have, in the order that most of these have.
    """
    read: list[RegionSeries] = []
    for path, member in files.items():
        with _failing(failures, member):
            read += read_region_series([path])
    scans: list[RegionSeries] = []
    for scan in read:
        with _failing(failures, files[scan.path]):
            aligned = align_regions(scan, _find_usual(read))
            prepare_scans([aligned.values], [aligned.counts], names=[aligned.name])
            scans.append(aligned)
    return scans


def _find_usual(scans: Sequence[RegionSeries]) -> RegionSeries:
    """Find a scan with the regions of most scans, in the order of most of these."""
    sets = Counter(frozenset(scan.regions) for scan in scans)
    orders = Counter(scan.regions for scan in scans)
    return max(scans, key=lambda scan: (sets[frozenset(scan.regions)], orders[scan.regions]))
