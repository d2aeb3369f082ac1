"""``kraken-tools communities``: region series in, communities and their presence out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kraken_bids.cli.options import FILE, ListOption, add_options, option, tool
from kraken_bids.cli.recipe_options import device_option
from kraken_bids.exceptions import SettingsError

search_options = add_options(
    option(
        "--preset", type=click.Choice(["default", "hypercoil"]), default="default",
        help="hypercoil: the published settings (10 communities, gamma 5, 500 epochs, one start).",
    ),
    click.option(
        "--n-communities", metavar="N|auto",
        help="Most communities; auto: number and gamma at which halves of the data agree best  "
        "[10]",
    ),
    click.option("--gamma", type=float, help="Resolution: the more, the smaller they are  [1]"),
    click.option("--modularity", type=float, metavar="WEIGHT", help="Of the static term  [10]"),
    click.option(
        "--dynamic", type=float, metavar="WEIGHT",
        help="Of how well communities hold together while they are present  [2]",
    ),
    click.option(
        "--smooth", type=float, metavar="WEIGHT", help="Of steps of presence over time  [0]"
    ),
    click.option(
        "--bimodal", type=float, metavar="WEIGHT",
        help="Of presence that is neither 0 nor 1  [0.01]",
    ),
    click.option(
        "--timescale", type=float, metavar="VOLUMES",
        help="Presence is joined over so many volumes  [5]",
    ),
    click.option("--epochs", type=int, help="Steps of a search  [200]"),
    click.option("--learning-rate", type=float, help="Of Adam  [0.05]"),
    click.option("--seeds", "n_seeds", type=int, help="Searches from different starts  [5]"),
    click.option("--seed", type=int, help="Of the first one  [0]"),
    click.option(
        "--sign", type=click.Choice(["signed", "positive"]),
        help="Negative correlations count against a community, or not at all  [signed]",
    ),
    click.option(
        "--objective", type=click.Choice(["maximise", "printed"]),
        help="printed: modularity is minimised, as the published objective says; for comparison "
        "alone  [maximise]",
    ),
)  # fmt: skip


@tool()
@click.argument("series", nargs=-1, required=True, type=FILE)
@click.option("--output", type=FILE, required=True, metavar="DIR", help="Folder to write.")
@click.option("--atlas", default="", help="Of a folder that kraken-bids wrote: whose series.")
@click.option("--variable", default="", help="Array of .mat, .npz and .h5 files with several.")
@click.option(
    "--regions",
    type=click.Choice(["columns", "rows"]),
    help="Where regions are in files without their names; else the axis that all scans share.",
)
@search_options
@option(
    "--baseline", type=click.Choice(["leiden", "none"]), default="leiden",
    help="Partitions by the Leiden algorithm beside it (extra: communities).",
)  # fmt: skip
@option(
    "--nulls",
    cls=ListOption,
    metavar="KIND ...",
    default=("phase", "shuffle"),
    help="Surrogates that presence is compared with: phase, shuffle.",
)
@option(
    "--n-nulls",
    type=click.IntRange(0, 1000),
    default=19,
    help="Surrogates of each kind and scan; 0: none.",
)
@device_option
def communities(series: tuple[Path, ...], output: Path, **words: Any) -> None:
    """Find the communities of regions in SERIES, and when each of them is present.

    SERIES: tables of region series (.tsv with the names of regions, .csv, .txt, .1D; volumes in
    rows), .npy, .npz, .mat, .h5, or folders that kraken-bids wrote (--atlas).
    """
    settings, is_auto = _read_settings(words)
    from kraken_bids.cohort.region_series import read_region_series
    from kraken_bids.io.files import make_folder
    from kraken_bids.models.communities.leiden import import_leiden
    from kraken_bids.models.devices import resolve_device
    from kraken_bids.pipeline.community_files import write_communities, write_record
    from kraken_bids.pipeline.community_places import places_in_folder
    from kraken_bids.pipeline.community_search import CommunityOptions, search_communities

    if words["baseline"] == "leiden":
        import_leiden()  # before the search, not after it
    make_folder(output)
    options = CommunityOptions(
        is_auto=is_auto,
        has_baseline=words["baseline"] == "leiden",
        nulls=_check_nulls(words["nulls"]),
        n_nulls=words["n_nulls"],
        device=str(resolve_device(words["device"])),
    )
    scans = read_region_series(
        series,
        atlas=words["atlas"],
        variable=words["variable"],
        regions=words["regions"] or "",
    )
    places = places_in_folder(output)
    result = search_communities(scans, settings, options)
    write_record(result, places, write_communities(result, places))
    for one in result.baselines:
        click.echo(
            f"{one.method:30} {one.n_communities:3} communities  modularity "
            f"{one.modularity:.4f}  adjusted Rand index {one.rand_index:.2f}"
        )
    click.echo(f"stability over starts {result.found.stability:.2f}: {output}")


def _read_settings(words: dict[str, Any]) -> tuple[Any, bool]:
    from dataclasses import fields

    from kraken_bids.models.communities.community_settings import CommunitySettings

    number = words["n_communities"]
    is_auto = number == "auto"
    given = {
        one.name: words[one.name]
        for one in fields(CommunitySettings)
        if words.get(one.name) is not None and one.name != "n_communities"
    }
    settings = CommunitySettings.of_preset(words["preset"], **given)
    if is_auto and "gamma" in given:
        raise SettingsError(
            "--gamma: expected none with --n-communities auto, which chooses it. Give one of them."
        )
    if number is None or is_auto:
        return settings, is_auto
    if not str(number).isdecimal():
        raise SettingsError(f"--n-communities: expected a number or auto; found {number!r}.")
    return replace(settings, n_communities=int(number)), False


def _check_nulls(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in {"phase", "shuffle"}]
    if unknown:
        raise SettingsError(f"--nulls: expected phase, shuffle; found {', '.join(unknown)}.")
    return tuple(names)
