"""Words, numbers and addresses as the pages write them."""

import math
from urllib.parse import quote

import numpy as np
from markupsafe import Markup, escape

DASH = "–"
ALGORITHMS = {"ifod2": "iFOD2", "sdstream": "SD_STREAM"}

SOURCE_WORDS = {
    "fusion": "Predicted from FC and SC together",
    "fusionSC": "Predicted from structure (SC)",
    "fusionFC": "Predicted from function (FC)",
}


def explain_source(source: str) -> str:
    """Say what a prediction was made from."""
    return SOURCE_WORDS.get(source, f"Predicted from {source}")


def explain_unit(flavor: str) -> str:
    """Say what the values of a flavor's connectomes are, by its id."""
    if flavor.startswith("SC"):
        return "streamlines over region volume" if "volnorm" in flavor else "streamlines"
    return "partial correlation" if "pcorr" in flavor.lower() else "correlation"


def format_share(share: float) -> str:
    """Write a share from 0 to 1 as per cent, without false precision and not to be broken."""
    if not np.isfinite(share):
        return "–"
    percent = 100 * share
    has_digit = 0 < percent < 10 and round(percent, 1) != round(percent)
    return f"{percent:.{int(has_digit)}f}\u00a0%"


def format_number(value: float | None, digits: int = 2) -> str:
    """Write a number; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    text = f"{value:.3g}" if size >= 1e5 or 0 < size < 10.0**-digits else f"{value:.{digits}f}"
    return text.replace("-", "−")


def format_fixed(value: float | None, digits: int = 2) -> str:
    """Write a number of a bounded scale: the same digits for all, and no minus before zero."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:z.{digits}f}".replace("-", "−")


def format_significant(value: float | None) -> str:
    """Write a number with three digits."""
    return (
        DASH
        if value is None or not math.isfinite(value)
        else f"{value:#.3g}".rstrip(".").replace("-", "−")
    )


def format_known_share(value: float | None) -> str:
    """Write a share as per cent; a dash where there is none."""
    return DASH if value is None else format_share(value)


def format_count(value: int | None) -> str:
    """Whole number with thin spaces between thousands, which do not break."""
    return DASH if value is None else f"{value:,}".replace(",", "\u202f")


def count_noun(count: int, noun: str) -> str:
    """Write ``2 runs``."""
    return f"{format_count(count)} {pick_noun(count, noun)}"


def pick_noun(count: int, noun: str) -> str:
    """Pick the noun for one or for several."""
    return noun if count == 1 else f"{noun}s"


def quote_href(path: str) -> str:
    """Relative address: spaces and ``:`` quoted, so that no path reads as a scheme."""
    return quote(path, safe="/.~+,=@")


def is_weblink(url: str) -> bool:
    """Whether an address is a page of the web."""
    return url.startswith(("https://", "http://"))


def make_breakable(text: str) -> Markup:
    """Name that may be broken after ``_`` and ``/``; escaped first."""
    escaped = str(escape(text))
    return Markup(escaped.replace("_", "_<wbr>").replace("/", "/<wbr>"))  # noqa: S704  escaped above
