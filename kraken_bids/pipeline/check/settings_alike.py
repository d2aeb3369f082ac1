"""Whether the connectomes of a cohort were measured alike, by what their sidecars say."""

import json
import logging
from collections.abc import Mapping, Sequence

from kraken_bids.cohort.measurements import SETTINGS
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.warned import Warned
from kraken_bids.exceptions import name_few

logger = logging.getLogger(__name__)

NAMED = 3
"""Sessions that a sentence names."""


def warn_of_unlike(members: Sequence[Member]) -> Warned:
    """Say, and log, in what the connectomes of one flavor were measured with different settings.

    One adaptation and one comparison cannot serve such a cohort. Connectomes whose sidecars do
    not have a field, such as those of other tools, are passed over.

    Returns
    -------
    Warned
        A sentence for everyone on each setting, whatever the number of flavors and subjects.
    """
    found = _collect(members)
    sentences = []
    for name, option in SETTINGS.items():
        flavors = {f: v for (key, f), v in found.items() if key == name and len(v) > 1}
        if flavors:
            sentences.append(_say(name, option, flavors))
    for sentence in sentences:
        logger.warning(sentence)
    return Warned(tuple(sentences))


def _collect(members: Sequence[Member]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Sessions by field, flavor and value."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for member in members:
        for flavor, measurement in sorted(member.measurements.items()):
            for name, value in measurement.settings.items():
                values = found.setdefault((name, flavor.name), {})
                values.setdefault(value, []).append(member.label)
    return found


def _say(name: str, option: str, flavors: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    first, values = next(iter(flavors.items()))
    more = f" (and {len(flavors) - 1} more flavors)" if len(flavors) > 1 else ""
    groups = ", ".join(
        f"{json.loads(value)} in {len(labels)} session(s) ({name_few(labels, NAMED)})"
        for value, labels in sorted(values.items(), key=lambda item: -len(item[1]))
    )
    return (
        f"the connectomes were not measured alike: {name} of {first}{more} is {groups}. What is "
        "adapted and compared together must be measured with the same settings: run the "
        f"participant level for all with one choice ({option}), or use an OUTPUT_DIR for each."
    )
