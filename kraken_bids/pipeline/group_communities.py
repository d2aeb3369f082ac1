"""Dynamic communities of everyone in OUTPUT_DIR, for each atlas by itself."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CLEANED, group_path, timeseries_path
from kraken_bids.cohort.failures import Failure, record
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.region_series import (
    RegionSeries,
    check_regions,
    read_region_series,
)
from kraken_bids.exceptions import InputError, KrakenBidsError
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.io.facts import read_facts
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.community_context import write_events, write_modalities
from kraken_bids.pipeline.community_files import LABEL, places_in_dataset, write_record
from kraken_bids.pipeline.community_search import CommunityOptions, search_communities
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


STAGE = "communities"


def write_group_communities(
    settings: Settings, members: Sequence[Member], failures: list[Failure]
) -> None:
    """Search the cleaned series of every atlas for communities, and write what is found.

    An atlas whose series and settings are those of the last run is passed over, unless forced.

    Parameters
    ----------
    settings : Settings
    members : sequence of Member
        Whose series.
    failures : list of Failure
        Gets the series that cannot be read.

    Raises
    ------
    InputError
        If there are no cleaned series.
    """
    output, asked = settings.data.output_dir, settings.analysis
    files = _list_series(settings, members)
    if not files:
        raise InputError(
            f"--analysis communities: expected cleaned region series in {output} "
            f"(sub-*/func/*_desc-{CLEANED}_timeseries.tsv); found none of the atlases asked for. "
            "Run the participant level on functional data first."
        )
    search = CommunitySettings(gamma=asked.gamma)
    if asked.n_communities != "auto":
        search = replace(search, n_communities=int(asked.n_communities))
    options = CommunityOptions(
        is_auto=asked.n_communities == "auto",
        has_baseline=find_spec("leidenalg") is not None,
        n_nulls=asked.n_nulls,
    )
    if not options.has_baseline:
        logger.warning("no Leiden baseline: pip install 'kraken-bids[communities]' for it")
    for atlas, own in sorted(files.items()):
        record_path = group_path(output, f"atlas-{atlas}_desc-{LABEL}_history.json")
        now = digest(LABEL, __version__, str(search), str(options), file_stamps(own))
        is_done = record_path.exists() and read_facts(record_path).text("RunDigest") == now
        if is_done and not settings.run.force:
            logger.info("communities of %s are up to date, skipped (--force redoes them)", atlas)
            continue
        logger.info("communities of %s", atlas)
        scans = _read_scans(own, failures)
        if scans:
            places = places_in_dataset(output, atlas)
            result = search_communities(scans, places, search, options)
            write_modalities(output, members, result=result, places=places)
            write_events(settings.data.bids_dir, result, places)
            write_record(result, places, digest=now)


def _list_series(settings: Settings, members: Sequence[Member]) -> dict[str, dict[Path, Member]]:
    """List the cleaned series of everyone, and whose each is, by atlas."""
    found: dict[str, dict[Path, Member]] = {}
    for member in members:
        folder = timeseries_path(settings.data.output_dir, member.entities, "x").parent
        for path in sorted(folder.glob(f"*_desc-{CLEANED}_timeseries.tsv")):
            atlas = parse_name(path).get("atlas", "")
            if atlas in settings.data.atlases or atlas not in list_parcellations():
                found.setdefault(atlas, {})[path] = member
    return found


def _read_scans(files: Mapping[Path, Member], failures: list[Failure]) -> list[RegionSeries]:
    """Read every scan by itself; one that cannot be used fails its subject alone."""
    scans: list[RegionSeries] = []
    for path, member in files.items():
        try:
            (scan,) = read_region_series([path])
            check_regions([*scans[:1], scan])
        except KrakenBidsError as error:
            record(failures, error, subject=member.subject, session=member.session, stage=STAGE)
        else:
            scans.append(scan)
    return scans
