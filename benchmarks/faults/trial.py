"""One fault: what was found wrong around it, and the run that is to mend all."""

import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import compare
from faults.running import PATIENCE_S, Ended, Hit, run
from faults.tally import Tally


@dataclass
class Trial:
    """A folder of its own for one fault, and what was found there."""

    folder: Path
    rng: random.Random
    tally: Tally
    found: defaultdict[str, list[object]] = field(default_factory=lambda: defaultdict(list))
    """What is wrong, by the columns' names."""
    patience: float = PATIENCE_S
    """How many seconds processes may live on after a run."""

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.folder / "out"

    def start_from(self, before: Path | None) -> None:
        """Make the folder of results what it is before the fault."""
        shutil.rmtree(self.out, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, self.out)

    def run(
        self,
        words: Sequence[str],
        *,
        plan: dict[str, Any] | None = None,
        hit: Hit | None = None,
        prefix: Sequence[str] = (),
    ) -> Ended:
        """Run a command, and count tracebacks and what it has left in the process table."""
        named = {"root": str(self.out), **(plan or {})} if plan or hit else None
        ended = run(
            words, self.folder / "runs", plan=named, hit=hit, prefix=prefix, patience=self.patience
        )
        self.found["processes left"] += ended.left
        if ended.n_tracebacks:
            self.found["tracebacks"].append(f"{ended.code}: {ended.traceback}")
        return ended

    def run_whole(self, words: Sequence[str]) -> None:
        """Run a command that must come to its end."""
        ended = self.run(words)
        if ended.code != 0:
            self.found["lost"].append(f"the rerun ended with {ended.code}: {ended.text}")

    def compare(self, wanted: dict[str, bytes]) -> None:
        """Count what differs from the results that are wanted, and what nobody wanted."""
        differences = compare.list_differences(wanted, compare.read_results(self.out))
        self.found["lost"] += differences["lost"]
        self.found["wrong"] += differences["wrong"]
        self.found["left behind"] += differences["left"] + compare.list_temporary(self.out)

    def end(self, fault: str, *, injected: int = 1) -> None:
        """Hand over what was found, and tidy up."""
        self.tally.add(fault, self.found, injected=injected)
        shutil.rmtree(self.folder)
