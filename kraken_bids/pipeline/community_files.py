"""Files of dynamic communities: shares, labels, presence, scores, history, pictures."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.failures import going_on
from kraken_bids.cohort.run_volumes import read_displacement
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, SOFTWARE
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import atomic_path
from kraken_bids.io.records import column, replace_records, write_records
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.communities.model import Communities
from kraken_bids.models.communities.null_series import PresenceTest
from kraken_bids.models.communities.resolution import Resolution
from kraken_bids.models.communities.search import TERMS
from kraken_bids.pipeline.community_places import LABEL, Places, name_run
from kraken_bids.report.presence_carpet import PresenceCarpet, draw_presence

Failing = Callable[[RegionSeries, list[Exception]], AbstractContextManager[None]]
"""Context of what is written of one scan: an error in it is kept, here or among the problems."""
LEVEL = 0.05
"""Of p, at which presence in a scan is beyond surrogates."""


@dataclass(frozen=True)
class BaselineScore:
    """Modularity of one method's partition."""

    method: str = column("how the partition was found")
    n_communities: int = column("communities that some region is in")
    modularity: float = column(
        "of the mean correlation matrix under the partition, with the settings' gamma and sign"
    )
    rand_index: float = column("adjusted Rand index with the dynamic communities")


@dataclass(frozen=True)
class CommunityRow:
    """What is known of one community."""

    community: str = column()
    n_regions: int = column("regions whose largest share it is")
    stability: float | None = column(
        "mean Dice coefficient of its regions over pairs of starts; n/a for an empty community"
    )
    mean_presence: float = column("mean over scans and volumes, 0 to 1")
    swing: float = column("standard deviation of presence over the volumes of a scan, mean")
    n_scans: int = column("scans compared with surrogates")
    n_beyond_phase: int | None = column(
        "scans in which it comes and goes more than in phase-randomised series, p <= 0.05; 5 % "
        "of the scans by chance; n/a with fewer than 19 surrogates"
    )
    n_beyond_shuffle: int | None = column(
        "scans in which it comes and goes more than in series whose volumes are shuffled; n/a "
        "with fewer than 19 surrogates"
    )


@dataclass(frozen=True)
class CommunityResult:
    """Everything that is known of the communities of some scans."""

    scans: Sequence[RegionSeries]
    found: Communities
    baselines: tuple[BaselineScore, ...]
    tests: Mapping[str, Sequence[PresenceTest]]
    """By kind of surrogates, of each scan."""
    resolutions: tuple[Resolution, ...]
    """Resolutions that were tried; empty where it was given."""
    n_nulls: int
    """Surrogates of each kind and scan."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the communities."""
        return tuple(f"C{k}" for k in range(1, self.found.affiliation.shape[1] + 1))

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions, or their numbers."""
        named = next((scan.regions for scan in self.scans if scan.regions), ())
        n_regions = len(self.found.affiliation)
        return named or tuple(str(k) for k in range(1, n_regions + 1))


def write_communities(
    result: CommunityResult,
    places: Places,
    failing: Failing = lambda _, problems: going_on(problems),
) -> list[RegionSeries]:
    """Write all files of communities; what cannot be written costs itself alone.

    Parameters
    ----------
    failing : callable, optional
        Context in which what is of one scan is written.

    Returns
    -------
    list of RegionSeries
        Scans whose presence is written.

    Raises
    ------
    InputError
        If a file of all scans could not be written, once the others are.
    """
    problems: list[Exception] = []
    written = []
    for write in (_write_regions, _write_scores):
        with going_on(problems):
            write(result, places)
    for scan, presence in zip(result.scans, result.found.presence, strict=True):
        with failing(scan, problems):
            _write_presence(result, scan, presence, places)
            if places.picture:
                _write_picture(result, scan, presence, places.picture(scan))
            written.append(scan)
    if problems:
        raise problems[0]
    return written


def write_record(
    result: CommunityResult, places: Places, written: Sequence[RegionSeries], *, digest: str = ""
) -> None:
    """Write what was searched for, in what, last of all files: it says that they are whole.

    Parameters
    ----------
    written : sequence of RegionSeries
        As of :func:`write_communities`.
    digest : str, optional
        Of all that went in.
    """
    found = result.found
    write_json(sidecar_path(places.table("history")), {
        "Description": "Dynamic communities of region series",
        "Settings": asdict(found.settings),
        "ChosenByHalves": bool(result.resolutions),
        "Methods": [one.method for one in result.baselines],
        "Surrogates": result.n_nulls if result.tests else 0,
        "Stability": found.stability,
        "Objectives": found.history[:, -1, 0],
        "StartsInConsensus": 1 + np.flatnonzero(found.is_counted),
        "Scans": [scan.name for scan in result.scans],
        ORIGIN.sources: [places.source(scan.path) for scan in result.scans],
        "SourcesNotWritten": [
            places.source(scan.path)
            for scan in result.scans
            if not any(scan is one for one in written)
        ],
        "Regions": len(found.affiliation),
        "RegionsLeftOut": [
            name for name, label in zip(result.regions, found.labels, strict=True) if label < 0
        ],
        **SOFTWARE,
        FILE.run_digest: digest,
    })  # fmt: skip


def _write_regions(result: CommunityResult, places: Places) -> None:
    found = result.found
    index = list(range(1, len(found.affiliation) + 1))
    shares = {name: found.affiliation[:, k] for k, name in enumerate(result.names)}
    path = places.regions("probseg")
    write_table(path, {"index": index, "name": list(result.regions), **shares})
    write_json(sidecar_path(path), {
        "Description": "Share of every community in each region; n/a for regions that some scan "
        "lacks",
        **{name: {"Description": f"share of community {name}"} for name in result.names},
    })  # fmt: skip
    labels = [result.names[k] if k >= 0 else None for k in found.labels]
    path = places.regions("dseg")
    write_table(path, {"index": index, "name": list(result.regions), "community": labels})
    write_json(sidecar_path(path), {
        "Description": "Community with the largest share in each region"
    })  # fmt: skip


def _write_presence(
    result: CommunityResult, scan: RegionSeries, presence: NDArray[np.float32], places: Places
) -> None:
    path, tr = places.presence(scan), read_repetition_time(scan)
    write_table(path, {name: presence[:, k] for k, name in enumerate(result.names)})
    write_json(sidecar_path(path), {
        "Description": "Presence of each community in every volume, 0 to 1; n/a in volumes that "
        "do not count",
        **({"RepetitionTime": tr, "SamplingFrequency": 1 / tr} if tr else {}),
        ORIGIN.sources: [places.source(scan.path)],
        "SourceSHA256": compute_sha256(scan.path),
        **{
            f"P_{null}": dict(zip(result.names, tests[_place(result, scan)].p, strict=True))
            for null, tests in result.tests.items()
        },
        **SOFTWARE,
    })  # fmt: skip


def read_repetition_time(scan: RegionSeries) -> float | None:
    """Seconds between the volumes of a scan, by the sidecar of its series; None where unknown."""
    return read_facts(sidecar_path(scan.path)).number("RepetitionTime") or None


def _place(result: CommunityResult, scan: RegionSeries) -> int:
    return next(k for k, one in enumerate(result.scans) if one is scan)


def _write_scores(result: CommunityResult, places: Places) -> None:
    write_records(
        places.table("metrics"),
        [BaselineScore],
        [[one] for one in result.baselines],
        description="Modularity of dynamic communities and of baselines",
    )
    write_records(
        places.table(LABEL),
        [CommunityRow],
        [[_describe(result, k)] for k in range(len(result.names))],
        description="Communities",
    )
    history = result.found.history
    n_seeds, n_epochs, _ = history.shape
    write_table(places.table("history"), {
        "start": np.repeat(np.arange(1, n_seeds + 1), n_epochs),
        "epoch": np.tile(np.arange(1, n_epochs + 1), n_seeds),
        **{name: history[:, :, k].ravel() for k, name in enumerate(TERMS)},
    })  # fmt: skip
    replace_records(
        places.table("resolution"),
        [Resolution],
        [[one] for one in result.resolutions],
        description="Resolutions that were tried",
    )


def _describe(result: CommunityResult, place: int) -> CommunityRow:
    found = result.found
    stability = float(found.stability_of_each[place])
    courses = [one[:, place] for one in found.presence]
    beyond = {
        null: int(sum(test.p[place] <= LEVEL for test in tests))
        for null, tests in result.tests.items()
        if 1 / (1 + result.n_nulls) <= LEVEL  # fewer surrogates never give as small a p
    }
    return CommunityRow(
        result.names[place],
        int((found.labels == place).sum()),
        stability if np.isfinite(stability) else None,
        float(np.nanmean(np.concatenate(courses))),
        float(np.mean([np.nanstd(one) for one in courses])),
        len(result.scans) if beyond else 0,
        beyond.get("phase"),
        beyond.get("shuffle"),
    )


def _write_picture(
    result: CommunityResult, scan: RegionSeries, presence: NDArray[np.float32], path: Path
) -> None:
    present = [k for k in range(len(result.names)) if (result.found.labels == k).any()]
    carpet = PresenceCarpet(
        name_run(scan),
        tuple(result.names[k] for k in present),
        presence[:, present],
        read_displacement(scan.path, len(presence)),
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(draw_presence(carpet))
