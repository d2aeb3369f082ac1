"""What was injected and what came of it, fault by fault; one table."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

COLUMNS = ("injected", "lost", "wrong", "left behind", "processes left", "tracebacks")


@dataclass
class Tally:
    """Counts by fault; may be filled by several threads."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        fault: str,
        found: dict[str, Sequence[object]],
        *,
        injected: int = 1,
    ) -> None:
        """Count a fault that was injected, and what was found wrong, by the columns' names."""
        with self._lock:
            row = self.rows.setdefault(fault, [0] * len(COLUMNS))
            row[0] += injected
            for place, name in enumerate(COLUMNS[1:], start=1):
                items = found.get(name, ())
                row[place] += len(items)
                for item in list(items)[:5]:
                    print(f"  {fault}: {name}: {item}", file=sys.stderr, flush=True)

    @property
    def sums(self) -> list[int]:
        """Of each column."""
        return [sum(column) for column in zip(*self.rows.values(), strict=True)] or [0] * 6

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, wrong or left."""
        return not any(self.sums[1:])

    def describe(self) -> str:
        """Format the table, and its sum."""
        lines = ["| fault | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
        for fault, row in [*sorted(self.rows.items()), ("sum", self.sums)]:
            lines.append(f"| {fault} | " + " | ".join(map(str, row)) + " |")
        return "\n".join([*lines, *self.notes])
