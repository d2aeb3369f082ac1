"""What a pretraining or a decoding has written into its folder, read back for its page."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from kraken_bids.io.facts import Facts, read_facts, read_table
from kraken_bids.io.records import Record, from_columns, name_columns
from kraken_bids.report.written import Known, read_or_none


@dataclass(frozen=True)
class WrittenSeries(Known):
    """The files of one folder."""

    output_dir: Path

    @cached_property
    def model(self) -> Facts:
        """Content of ``model.json``."""
        return read_facts(self.output_dir / "model.json")

    @cached_property
    def training(self) -> Facts:
        """Content of ``training.json``."""
        return read_facts(self.output_dir / "training.json")

    @property
    def example(self) -> str:
        """What a decoding is of: ``trial``, or ``volume``."""
        return "volume" if self.training.count("NumberOfVolumes") else "trial"

    def read_records(self, kind: type[Record], name: str) -> list[Record]:
        """Rows of a table; none where it is missing, or damaged, which is said."""
        path = self.output_dir / name
        return (read_or_none(partial(_read, kind, path)) if path.exists() else None) or []


def _read(kind: type[Record], path: Path) -> list[Record]:
    numbers, texts = name_columns(kind)
    return from_columns(kind, read_table(path, numbers=numbers, texts=texts))
