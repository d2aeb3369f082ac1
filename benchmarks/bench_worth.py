"""Whether what is said of predictions is true: gain, coverage, discordance and imputation.

Synthetic cohorts whose truth is known, at four strengths of what structure tells of function, then
real people where their connectomes are there. Prints tables. Usage: ``python
benchmarks/bench_worth.py [--repeats 20] [--subjects 100] [--conformance FOLDER]``.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from worth_people import judge_people
from worth_population import CEILING, STRENGTHS
from worth_repeats import (
    CHANGES,
    N_CHANGED,
    N_DRAWS,
    N_NEW,
    PROMISED,
    RATE,
    Figures,
    judge_repeat,
)  # fmt: skip

Repeats = dict[str, list[Figures]]
CONFORMANCE = Path("shared/conformance")


def main() -> None:
    arguments = parse_arguments()
    start = time.perf_counter()
    found = {
        strength: [
            judge_repeat(strength, seed, arguments.subjects) for seed in range(arguments.repeats)
        ]
        for strength in STRENGTHS
    }
    n = arguments.subjects
    print(f"{arguments.repeats} cohorts of {n} people per strength, SC → FC, 435 edges; "
          f"{time.perf_counter() - start:.0f} s.\n")  # fmt: skip
    print_worth(found)
    print_gain(found)
    print_coverage(found, n)
    print_discordance(found)
    print_imputation(found, n)
    for line in judge_people(arguments.conformance):
        print(line)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--conformance", type=Path, default=CONFORMANCE)
    return parser.parse_args()


def column(repeats: Sequence[Figures], name: str) -> NDArray[np.float64]:
    return np.array([one[name] for one in repeats])


def mean_of(repeats: Sequence[Figures], name: str, digits: int = 3) -> str:
    """Mean over repeats, and its standard error."""
    values = column(repeats, name)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"


def is_no_less(repeats: Sequence[Figures], name: str, least: float) -> str:
    """Say whether a mean is at least a number, less its standard error."""
    values = column(repeats, name)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return "met" if values.mean() >= least - error else "missed"


def print_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def print_worth(found: Repeats) -> None:
    header = ("strength", "raw correlation", "that of the mean", "without the mean",
              f"ceiling, true {CEILING}", "gain of PLS")  # fmt: skip
    names = ("avgcorr", "baseline_avgcorr", "resid", "ceiling", "pls_gain")
    rows = [[s, *(mean_of(own, name) for name in names)] for s, own in found.items()]
    print_rows("What raw predictions show (mean ± standard error over repeats)", header, rows)


def print_gain(found: Repeats) -> None:
    header = ("strength", "raw gain", "true", "interval covers", "calibrated gain", "true",
              "interval covers", "≥ 0 - SE", "persons' intervals",
              "calibrated R², out of sample", "≥ 0 - SE",
              "calibrated R², scikit-learn's", "≥ 0 - SE", "that of the mean")  # fmt: skip
    rows = []
    for strength, own in found.items():
        row = [strength]
        for kind in ("raw", "cal"):
            covers = column(own, f"{kind}_gain_covers")
            row += [mean_of(own, f"{kind}_gain"), f"{column(own, f'true_{kind}_gain').mean():.3f}",
                    f"{covers.sum():.0f} of {len(covers)}"]  # fmt: skip
        row += [is_no_less(own, "cal_gain", 0.0), mean_of(own, "person_gain_covers", 2)]
        for name in ("cal_r2_out_of_sample", "cal_r2"):
            row += [mean_of(own, name, 4), is_no_less(own, name, 0.0)]
        rows.append([*row, mean_of(own, "mean_r2", 4)])
    print_rows("Gain over the mean, 95 % intervals over people; R² in people held out", header,
               rows)  # fmt: skip
    print("A person's interval tells what the fit leaves open of that person's gain; the true one "
          "is that of the best line of each edge, and shrinkage stays below it.\n")  # fmt: skip
    print("R² out of sample compares with the mean of the people fitted on, scikit-learn's with "
          "that of the people judged, which nobody knows beforehand: there the mean of the "
          "people fitted on is below 0 itself.\n")  # fmt: skip


def print_coverage(found: Repeats, n: int) -> None:
    n_repeats = len(next(iter(found.values())))
    (low, high), (one_low, one_high) = band(n_repeats * n, PROMISED), band(n, PROMISED)
    header = (
        "strength", "nested folds", "new people",
        f"cohorts in {one_low:.2f} to {one_high:.2f}", f"all in {low:.3f} to {high:.3f}",
        f"weakest edge of {N_NEW} new people", "width / SD of the edge",
    )  # fmt: skip
    rows = []
    for strength, own in found.items():
        both = [column(own, name) for name in ("coverage", "coverage_new")]
        inside = sum(
            int(one_low <= min(one) <= max(one) <= one_high) for one in zip(*both, strict=True)
        )
        means = [values.mean() for values in both]
        verdict = "below" if min(means) < low else "inside" if max(means) <= high else "above"
        width = column(own, "width") / column(own, "spread")
        rows.append([
            strength, *(mean_of(own, name) for name in ("coverage", "coverage_new")),
            f"{inside} of {n_repeats}", verdict, mean_of(own, "coverage_lowest_edge"),
            f"{width.mean():.2f}",
        ])  # fmt: skip
    title = f"Coverage of intervals that promise {PROMISED} (bands: 95 % of so many people)"
    print_rows(title, header, rows)
    print("The promise is a lower bound: intervals span what the folds say, and the rank is the "
          "next whole one.\n")  # fmt: skip


def print_discordance(found: Repeats) -> None:
    header = ("strength", *(f"changes of {size} SD found" for size in CHANGES),
              "false positives at p < 0.05",
              "unchanged people with any finding at q ≤ 0.05")  # fmt: skip
    names = ("hits", "hits_large", "false_positives", "false_findings")
    rows = [[s, *(mean_of(own, name) for name in names)] for s, own in found.items()]
    title = f"Discordance: one region of {N_CHANGED} people changed, against everyone else"
    print_rows(f"{title} (stated rate {RATE})", header, rows)
    print("People differ in their noise here, by a fifth: with equal noise of everyone 5 % of "
          "the unchanged have a finding.\n")  # fmt: skip


def print_imputation(found: Repeats, n: int) -> None:
    header = ("strength", "slope on age", "slope on score", "found", "score left out of the model:"
              " found", "one calibrated prediction as if measured: age", "score")  # fmt: skip
    names = ("age_covers", "score_covers", "score_found", "score_found_left_out",
             "age_covers_naive", "score_covers_naive")  # fmt: skip
    rows = [[s, *(mean_of(own, name) for name in names)] for s, own in found.items()]
    title = (f"Imputation: share of 95 % intervals of {435} slopes that hold the true one, "
             f"2/5 of {n} people not measured, {N_DRAWS} draws")  # fmt: skip
    print_rows(title, header, rows)


def band(n: int, share: float) -> tuple[float, float]:
    """Shares that 95 % of binomial samples have."""
    low, high = binom.interval(0.95, n, share)
    return low / n, high / n


if __name__ == "__main__":
    main()
