"""Region series of XCP-D, with the tables beside them."""

from collections.abc import Sequence
from pathlib import Path

from fuzz.arrays import N_REGIONS, format_table, rng
from fuzz.cases import Reader, Seed, require

N_VOLUMES = 40


def list_readers() -> list[Reader]:
    """One reader: of a run of region means."""
    return [Reader("region series XCP-D", _list_region_means, _read_region_means)]


def _list_region_means() -> Sequence[Seed]:
    values = rng().standard_normal((N_VOLUMES, N_REGIONS))
    names = [f"r{k}" for k in range(N_REGIONS)]
    series = {name: [f"{v:.5g}" for v in own] for name, own in zip(names, values.T, strict=True)}
    tables = {
        "series.tsv": format_table(series | {"r0": ["n/a"] * N_VOLUMES}),
        "outliers.tsv": format_table({"framewise_displacement": [0, 1] * (N_VOLUMES // 2)}),
        "motion.tsv": format_table({"framewise_displacement": ["n/a", *[0.1] * (N_VOLUMES - 1)]}),
        "coverage.tsv": format_table(
            {"Node": names, "coverage": [1, 0.2, *[1] * (N_REGIONS - 2)]}
        ),
    }
    return [
        Seed(name, content, {other: held for other, held in tables.items() if other != name})
        for name, content in tables.items()
    ]


def _read_region_means(path: Path) -> None:
    from kraken_bids.bids.cleaned_bold import CleanedSource
    from kraken_bids.bids.preprocessed_bold import BoldRun
    from kraken_bids.parcellations import Parcellation
    from kraken_bids.pipeline.measure.parcellated_runs import read_parcellated_run
    from kraken_bids.settings import FunctionalSettings

    names = tuple(f"r{k}" for k in range(N_REGIONS))
    atlas = Parcellation("mini", "", "image", "", "", names, ("M",) * N_REGIONS, names,
                         tuple(range(1, N_REGIONS + 1)))  # fmt: skip
    source = CleanedSource(
        "XCP-D", (), has_gsr=False, is_filtered=True,
        motion=path.with_name("motion.tsv"), outliers=path.with_name("outliers.tsv"),
    )  # fmt: skip
    run = BoldRun(
        {}, "T1w", path.with_name("series.tsv"), None, None, None, {}, {"RepetitionTime": 2.0},
        cleaned=source, atlas="mini", coverage=path.with_name("coverage.tsv"),
    )  # fmt: skip
    found = read_parcellated_run(run, atlas, FunctionalSettings(denoise="none"))
    values = found.plain.cleaned["mini"]
    require(values.shape[1] == N_REGIONS, "series of another shape")
