"""What a network of region series learned from: what new series must be like."""

from dataclasses import dataclass
from functools import partial

from kraken_bids.io.tables import read_columns
from kraken_bids.report.section import Section
from kraken_bids.report.words import format_significant
from kraken_bids.report.written import read_or_none
from kraken_bids.report.written_series import WrittenSeries

SCALING = {
    "zscore": "each region of each run standardised: mean 0, deviation 1",
    "none": "as they came",
}
NOT_KNOWN = "not known"
OF_SPLITS = ("participant_id", "split")


@dataclass(frozen=True)
class Material:
    """Facts by their names, and who was in which part."""

    facts: dict[str, str]
    parts: dict[str, tuple[str, ...]]
    """Subjects of each part."""


def gather(written: WrittenSeries) -> Material | None:
    """Read what the model says of its series, and the split of its subjects."""
    data, shape = (written.model.part(name) for name in ("data", "architecture"))
    if not data:
        return None
    times = ", ".join(format_significant(one) for one in data.numbers("repetition_times"))
    cleaning = "; ".join(f"{name} {value}" for name, value in data.part("cleaning").plain.items())
    facts = {
        "Atlas": data.text("atlas") or NOT_KNOWN,
        "Regions": str(shape.count("n_regions") or len(data.texts("regions"))),
        "Scaling": SCALING.get(data.text("normalization"), NOT_KNOWN),
        "Repetition times": f"{times} s" if times else NOT_KNOWN,
        "Cleaning": cleaning or NOT_KNOWN,
        "Network": f"{shape.count('n_layers') or '?'} layers, "
        f"{shape.count('embedding') or '?'} numbers for a volume",
    }
    return Material(facts, _read_parts(written))


def _read_parts(written: WrittenSeries) -> dict[str, tuple[str, ...]]:
    path = written.output_dir / "splits.tsv"
    read = partial(read_columns, path, texts=OF_SPLITS)
    table = read_or_none(read) if path.exists() else None
    if not table or not {*OF_SPLITS} <= {*table}:  # a decoding deals folds
        return {}
    parts: dict[str, dict[str, None]] = {}
    for subject, split in zip(*(table[name].tolist() for name in OF_SPLITS), strict=True):
        parts.setdefault(split, {})[subject] = None
    return {split: tuple(own) for split, own in parts.items()}


SECTION = Section(
    "material",
    "Material",
    "series_material.html",
    gather,
    heading="What it learned from",
)
