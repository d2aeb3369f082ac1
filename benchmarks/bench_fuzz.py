"""Damaged files for every reader of foreign bytes: only errors of ours or valid results.

Valid files are damaged (bits, numbers, blocks, words, values of JSON; inside their packing too)
and read as the product reads them, in children with 5 s and 1 GB for each file. What ends
otherwise than in a valid result or an error of :mod:`kraken_bids.exceptions` is a fault, and ends
this with 1. Usage: ``python benchmarks/bench_fuzz.py [--inputs N] [--reader NAME ...]
[--n-procs N]``; ``--reader NAME --case N`` does one case again, with its traceback.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

os.environ |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}

from fuzz import (
    fitted,
    foreign,
    images,
    models,
    outputs,
    series,
    tables,
    tracks,
    trainings,
    words,
    xcp_d,
)
from fuzz.cases import Reader, make_case, run_case
from fuzz.runner import Tally, run_readers

IN_MEMORY = Path("/dev/shm")


def main() -> None:
    arguments = parse_arguments()
    readers = [r for r in list_readers() if not arguments.reader or r.name in arguments.reader]
    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kraken_fuzz_", dir=where) as name:
        if arguments.case is not None:
            repeat(readers[0], arguments.case, arguments.seed, Path(name))
            return
        found = run_readers(
            readers,
            folder=Path(name),
            n_inputs=arguments.inputs,
            seed=arguments.seed,
            n_procs=arguments.n_procs,
        )
        sys.exit(report(found))


def parse_arguments() -> argparse.Namespace:
    names = [reader.name for reader in list_readers()]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="per reader  [%(default)s]")
    parser.add_argument("--reader", nargs="+", choices=names, help="only these  [all]")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same files  [%(default)s]")
    parser.add_argument("--case", type=int, help="only this one, of one reader")
    parser.add_argument("--n-procs", type=int, default=1, help="children at once  [%(default)s]")
    arguments = parser.parse_args()
    if arguments.case is not None and len(arguments.reader or ()) != 1:
        parser.error("--case needs the --reader that it is of")
    return arguments


def list_readers() -> list[Reader]:
    """Every reader of foreign bytes."""
    parts = (
        *(tables, words, images, tracks, foreign, fitted),
        *(models, outputs, series, trainings, xcp_d),
    )
    return [reader for part in parts for reader in part.list_readers()]


def repeat(reader: Reader, case: int, seed: int, folder: Path) -> None:
    """Do one case in this process, where its traceback ends it."""
    logging.basicConfig()
    chosen, content = make_case(reader, case, seed)
    print(f"{reader.name}, case {case}: {chosen.name}, {len(content)} bytes")
    run_case(reader, folder / "case", chosen, content)
    print("valid")


def report(found: Iterable[tuple[str, Tally]]) -> int:
    """Print a row for each reader when it is done, then each fault once; returns the exit code."""
    start, tallies = time.monotonic(), []
    print_row("reader", "inputs", "valid", "refused", "faults", "inputs/s")
    for name, tally in found:
        tallies.append(tally)
        speed, n_faults = f"{tally.speed:.0f}", len(tally.faults)
        print_row(name, tally.n_inputs, tally.n_valid, tally.n_refused, n_faults, speed)
    n_inputs = sum(tally.n_inputs for tally in tallies)
    print(f"\n{n_inputs} inputs in {time.monotonic() - start:.0f} s")
    for fault, n in (one for tally in tallies for one in tally.list_distinct()):
        print(
            f"FAULT {fault.reader}, case {fault.case} ({fault.seed}), {n} times: "
            f"{fault.kind} at {fault.place}"
        )
    return int(any(tally.faults for tally in tallies))


def print_row(name: str, *cells: object) -> None:
    print(f"{name:22} | " + " | ".join(f"{cell:>8}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
