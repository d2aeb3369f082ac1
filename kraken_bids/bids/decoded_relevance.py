"""Relevance of a run whose volumes were decoded: its files, among those of other runs."""

from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import DECODED

NOT_OF_RUN = ("suffix", "extension")


def find_relevance(result: Path) -> list[tuple[Path, frozenset[str]]]:
    """Find the relevance of a run beside another result of it, sidecars too, by name.

    Parameters
    ----------
    result : Path
        Any result of the run without further entities, such as its table of probabilities; it
        need not be there.

    Returns
    -------
    list of (Path, frozenset of str)
        Each file, and the entities that its name adds to those of the run: none of relevance of
        every volume, ``stat`` and ``label`` of a mean map, ``atlas`` of sums. One that adds
        something else, such as ``run``, is of another run.
    """
    own = _list_entities(result)
    found = []
    for path in sorted(result.parent.glob(f"*_desc-{DECODED}_relevance.*")):
        named = _list_entities(path)
        if own.items() <= named.items():
            found.append((path, frozenset(named.keys() - own.keys())))
    return found


def _list_entities(path: Path) -> dict[str, str]:
    return {key: value for key, value in parse_name(path).items() if key not in NOT_OF_RUN}
