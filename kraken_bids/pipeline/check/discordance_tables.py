"""Tables of discordance: one of each session, and what was found in the group."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import (
    discordance_path,
    group_path,
    latents_path,
    sidecar_path,
)
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.members import Member, Whose, whose_row
from kraken_bids.cohort.sidecar_records import FILE, SOFTWARE
from kraken_bids.cohort.sidecars import forget_digest, hold_session, read_digest, size_of
from kraken_bids.io.records import remove_records, write_columns, write_records
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json
from kraken_bids.pipeline.check.compared_sessions import ControlRules, TargetComparison
from kraken_bids.pipeline.check.discordance_record import FINDINGS, TESTS, note_tables
from kraken_bids.pipeline.check.region_residuals import find_edge_groups
from kraken_bids.scores.deviations import DiscordanceTest, Finding, RegionDeviation
from kraken_bids.scores.discordance import MEASURES, RATE

DESCRIPTION = "Functional connectomes less those predicted from structure, compared with controls"
STAGE = "discordance"

Floats = NDArray[np.float64]
Compared = Mapping[int, Sequence[TargetComparison]]


def write_discordance(
    output_dir: Path,
    members: Sequence[Member],
    compared: Compared,
    rules: ControlRules,
    *,
    digests: Mapping[str, str],
    digest: str = "",
) -> list[Failure]:
    """Write every session's table, and those of the group; take away what no longer holds.

    A session that another run has predicted since is left alone.

    Parameters
    ----------
    compared : mapping of int to sequence of TargetComparison
        By index of the member; empty where nothing could be compared.
    digests : mapping of str to str
        Digest of the predictions that were compared, by label of the session.
    digest : str, optional
        Of all that was compared, kept so that it need not be done again.

    Returns
    -------
    list of Failure
        Sessions whose table could not be written.
    """
    failures = list[Failure]()
    for index, member in enumerate(members):
        found = [one for one in compared.get(index, ()) if one.measures]
        predictions = digests.get(member.label, "")
        with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
            _write_session(output_dir, member, found, rules, predictions=predictions)
    is_complete = not failures and all(one.measures for own in compared.values() for one in own)
    _write_group(output_dir, members, compared, digest=digest if is_complete else "")
    return failures


def _write_session(
    output_dir: Path,
    member: Member,
    found: Sequence[TargetComparison],
    rules: ControlRules,
    *,
    predictions: str,
) -> None:
    path = discordance_path(output_dir, member.subject, member.session)
    own = _digest(found, rules, predictions)
    if (not found and not path.exists()) or (found and read_digest(path, if_whole=True) == own):
        return
    latents = latents_path(output_dir, member.subject, member.session)
    with hold_session(output_dir, member.label):
        if read_digest(latents) != predictions:
            return  # another run has predicted since
        if found:
            _replace_table(output_dir, path, found, rules, digests=(predictions, own))
        else:
            remove_records(path)


def _replace_table(
    output_dir: Path,
    path: Path,
    found: Sequence[TargetComparison],
    rules: ControlRules,
    *,
    digests: tuple[str, str],
) -> None:
    forget_digest(path)
    first = next(iter(found[0].measures.values()))
    targets = [_list_columns(output_dir, one) for one in found]
    columns = {name: np.concatenate([one[name] for one in targets]) for name in targets[0]}
    facts = {
        "Controls": "named" if rules.is_named else "everyone else",
        "NControls": first.n_controls,
        "Covariates": list(rules.columns),
        "FalseDiscoveryRate": RATE,
        "PredictionsDigest": digests[0],
        **SOFTWARE,
        FILE.run_digest: digests[1],
    }
    write_columns(path, RegionDeviation, columns, description=DESCRIPTION, facts=facts)


def _digest(found: Sequence[TargetComparison], rules: ControlRules, predictions: str) -> str:
    total = sha256(f"{__version__} {predictions} {rules.is_named} {[*rules.columns]}".encode())
    for one in found:
        total.update(f"{one.residuals.source} {one.residuals.target}".encode())
        for name, comparison in one.measures.items():
            total.update(f"{comparison.n_controls} {comparison.freedom}".encode())
            total.update(one.residuals.measures[name][one.row].tobytes())
            total.update(comparison.statistic.tobytes())
    return total.hexdigest()


def _list_columns(output_dir: Path, one: TargetComparison) -> dict[str, NDArray[Any]]:
    """Columns of the rows of one target."""
    residuals = one.residuals
    groups = find_edge_groups(output_dir, residuals.target.parcellation)
    n = len(groups.names)
    found: dict[str, NDArray[Any]] = {
        "target": np.full(n, residuals.target.name),
        "source": np.full(n, residuals.source),
        "level": np.array(groups.levels),
        "name": np.array(groups.names),
    }
    for name in MEASURES:
        endings = ("", "_expected", "_z", "_p", "_q")
        columns = zip(endings, _list_measures(one, name), strict=True)
        found |= {f"{name}{ending}": values for ending, values in columns}
    return found


def _list_measures(one: TargetComparison, name: str) -> Floats:
    """Value, expectation, z, p and q of each group, to six digits; the size, not its logarithm."""
    comparison = one.measures[name]
    value = one.residuals.measures[name][one.row].astype(np.float64)
    expected = comparison.expected
    if name == "size":
        value, expected = np.exp(value), np.exp(expected)
    columns = np.stack([value, expected, comparison.z, comparison.p, comparison.q])
    known = np.isfinite(columns) & (columns != 0)
    power = np.floor(np.log10(np.abs(columns, where=known, out=np.ones(columns.shape))))
    scale = 10.0 ** np.clip(5 - power, -300, 300)
    return np.asarray(np.round(columns * scale) / scale)


def _write_group(
    output_dir: Path, members: Sequence[Member], compared: Compared, *, digest: str
) -> None:
    tests: list[tuple[Whose, DiscordanceTest]] = []
    findings: list[tuple[Whose, Finding]] = []
    for index, targets in sorted(compared.items()):
        whose = whose_row(members[index])
        for one in targets:
            for name in MEASURES:
                test, found = _conclude(output_dir, one, name)
                tests.append((whose, test))
                findings += [(whose, finding) for finding in found]
    paths = [group_path(output_dir, name) for name in (FINDINGS, TESTS)]
    if not tests:
        for path in paths:
            remove_records(path)
        return
    words = f"{DESCRIPTION}: what passes the false discovery rate"
    write_records(paths[0], (Whose, Finding), findings, description=words)
    facts = note_tables(output_dir, members, digest=digest)
    words = f"{DESCRIPTION}: what was tested"
    write_records(paths[1], (Whose, DiscordanceTest), tests, description=words)
    rest = dict(read_json(sidecar_path(paths[1]))) | facts | size_of(paths[1])
    write_json(sidecar_path(paths[1]), rest)


def _conclude(
    output_dir: Path, one: TargetComparison, name: str
) -> tuple[DiscordanceTest, list[Finding]]:
    """Say what was tested of one measure, and list what was found."""
    pair = one.residuals.target.name, one.residuals.source
    if not one.measures:
        nothing = DiscordanceTest(*pair, name, n_tested=0, n_found=0, reason=one.reason)
        return nothing, []
    comparison = one.measures[name]
    p, q = comparison.p, comparison.q
    tested = np.isfinite(p)
    passed = np.flatnonzero(tested & (q <= RATE))
    test = DiscordanceTest(
        *(*pair, name, comparison.n_controls, comparison.freedom),
        n_tested=int(tested.sum()),
        n_found=len(passed),
        share_p05=round(float((p[tested] < 0.05).mean()), 5) if tested.any() else None,
        brain_z=round(float(comparison.z[0]), 5),
    )
    if not len(passed):
        return test, []
    groups = find_edge_groups(output_dir, one.residuals.target.parcellation)
    shown = _list_measures(one, name)
    return test, [
        Finding(
            *(*pair, name, groups.levels[k], groups.names[k]),
            n_tested=test.n_tested,
            **dict(zip(("value", "expected", "z", "p", "q"), shown[:, k].tolist(), strict=True)),
        )
        for k in passed[np.argsort(p[passed], kind="stable")].tolist()
    ]
