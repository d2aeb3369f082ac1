"""Matrices as text, many numbers at once: ``%.6g``, as numpy.savetxt writes it.

A number's characters are handled as 64-bit words, eight at a time (first character lowest), on
whole arrays. The few numbers that need more (ties within rounding, exponents, ``nan``) go through
Python one by one.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

DIGITS = 6
ROOM = 10
"""Times the memory that a matrix's slots need; the arrays of one step need less."""
BLOCK = 1 << 16
"""Numbers at once: fewer pay more for each step than larger arrays do."""
SLOT = 16
"""Bytes of a number, the tab behind it and what is not used: two words."""
TIE = 1e-5
"""A scaled number this close to a half may round either way: Python decides."""
SMALLEST, LARGEST = 1e-4, 999999.0
"""Between these ``%.6g`` has no exponent."""
POWERS = 10.0 ** np.arange(23)
"""All powers of ten that a double holds exactly."""
DECADES = np.floor(np.log10(2.0) * (np.arange(2048) - 1023)).astype(np.int64)
"""Decimal exponent of the power of two below a number; the number's own, or one less."""
SCALES = POWERS.take(DIGITS - 1 - DECADES, mode="clip")
"""What makes six or seven digits of a number, by the power of two below it."""
ONES = np.uint64(0x0101010101010101)


def _pack(texts: Iterable[bytes]) -> Words:
    """Texts of up to eight characters as words."""
    return np.array([int.from_bytes(text, "little") for text in texts], np.uint64)


FRONTS = _pack(
    [b"%03d" % n for n in range(1000)] + [(b"%03d" % n).rstrip(b"0") for n in range(1000)]
)
"""The first three digits; then again, for where only zeros follow, without those at the end."""
BACKS = FRONTS[1000:] << np.uint64(24)
"""The last three digits, without zeros at the end."""
LOWEST = -4
"""Decimal exponent of SMALLEST."""
EXPONENTS = range(LOWEST, DIGITS)
LEAD_TEXTS = [
    sign + (b"0." + b"0" * (-e - 1)) * (e < 0) for sign in (b"", b"-") for e in EXPONENTS
]
"""What stands before the six digits, by exponent; then again of negative numbers."""
LEADS = _pack(LEAD_TEXTS)
LEAD_BITS = np.array([8 * len(text) for text in LEAD_TEXTS], np.uint64)
WHOLES = _pack(b"\xff" * (e + 1) for e in range(DIGITS))
ZEROS = _pack(b"0" * (e + 1) for e in range(DIGITS))
POINTS = _pack(b"\0" * (e + 1) + b"." for e in range(DIGITS))
"""Where whole digits are, these as zeros, and the point behind them, by exponent."""


def format_matrix(matrix: NDArray[np.floating]) -> Iterator[bytes]:
    """Text of a matrix: ``%.6g``, tabs, lines; byte for byte as ``numpy.savetxt`` writes it.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns)
        Of a symmetric one, each number is made into text once.

    Yields
    ------
    bytes
        A few lines, which are best written at once: all of them would be new memory twice.
    """
    values = np.ascontiguousarray(matrix, np.float64)
    n_rows, n_columns = values.shape
    flat, places = values.reshape(-1), np.arange(values.size)
    bits = values.view(np.int64)  # a NaN equals itself, and 0 is not -0
    if n_rows == n_columns and np.array_equal(bits, bits.T):
        upper, places = _list_pairs(n_rows)
        flat = flat.take(upper)
    # far more room than is written to, which takes no memory: what is given back whole at the end
    # the C library keeps for the arrays of each step, in place of fetching them anew
    slots = np.empty((ROOM * len(flat), 2), np.uint64)[: len(flat)]
    lengths = np.empty(len(flat), np.int64)
    for start in range(0, len(flat), BLOCK):
        block = slice(start, start + BLOCK)
        _spell(flat[block], slots[block], lengths[block])
    step = max(1, BLOCK // n_columns) * n_columns
    for start in range(0, len(places), step):
        cells = places[start : start + step]
        yield _join(slots, lengths, cells=cells, n_columns=n_columns)


def round_as_written(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Numbers as they are read from the text that :func:`format_matrix` makes of them.

    Parameters
    ----------
    values : ndarray of shape (n,)
    """
    wide = values.astype(np.float64)
    digits, exponent, is_odd = _round(wide)
    # both are exact in a double, so that one division rounds as reading does
    rounded = np.copysign(digits / POWERS.take(DIGITS - 1 - exponent), wide)
    for place in np.flatnonzero(is_odd):
        rounded[place] = float(b"%.6g" % wide[place])
    return np.asarray(rounded, np.float64)


@lru_cache(maxsize=4)
def _list_pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat places of the upper triangle with diagonal; and for each cell which of them it is."""
    rows, columns = np.triu_indices(n)
    places = np.zeros((n, n), np.int64)
    places[rows, columns] = np.arange(len(rows))
    return rows * n + columns, np.maximum(places, places.T).reshape(-1)


def _spell(values: NDArray[np.float64], slots: Words, lengths: NDArray[np.int64]) -> None:
    """Put the characters of each number, and a tab, into its slot; and how many they are."""
    digits, exponent, is_odd = _round(values)
    front = digits // 1000
    back = digits - 1000 * front
    word = FRONTS.take(front + 1000 * (back == 0)) | BACKS.take(back)
    rows = np.flatnonzero(exponent >= 0)
    word[rows] = _place_point(word[rows], exponent[rows])
    # digits and points, and no other bytes of a word, have this bit
    n_bits = ((word >> np.uint64(5)) & ONES) * ONES >> np.uint64(56) << np.uint64(3)
    word |= np.uint64(ord("\t")) << n_bits
    lead = exponent - LOWEST + len(EXPONENTS) * np.signbit(values)
    n_lead_bits = LEAD_BITS.take(lead)
    slots[:, 0] = LEADS.take(lead) | (word << n_lead_bits)
    slots[:, 1] = word >> (np.uint64(64) - n_lead_bits)
    lengths[:] = ((n_lead_bits + n_bits) >> np.uint64(3)) + np.uint64(1)
    for row in np.flatnonzero(is_odd):
        spelled = b"%.6g\t" % values[row]
        slots[row] = np.frombuffer(spelled.ljust(SLOT, b"\0"), np.uint64)
        lengths[row] = len(spelled)


def _round(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Six digits, decimal exponent, and which numbers must be left to Python."""
    size = np.abs(values)
    is_odd = ~((size >= SMALLEST) & (size < LARGEST))
    size[is_odd] = 1.0
    power_of_two = size.view(np.int64) >> 52
    exponent = DECADES.take(power_of_two)
    scaled = size * SCALES.take(power_of_two)
    is_high = scaled >= 10**DIGITS
    exponent += is_high
    scaled *= np.where(is_high, 0.1, 1.0)
    rounded = np.rint(scaled)
    is_odd |= (np.abs(scaled - rounded) > 0.5 - TIE) | (rounded >= 10**DIGITS)
    is_zero = values == 0
    is_odd &= ~is_zero
    rounded[is_odd | is_zero] = 0
    return rounded.astype(np.int64), exponent, is_odd


def _place_point(word: Words, exponent: NDArray[np.int64]) -> Words:
    """Put the point among six digits, ``12.3``; none where nothing follows it."""
    whole = WHOLES.take(exponent)
    part = word & ~whole
    point = np.where(part > 0, POINTS.take(exponent), np.uint64(0))
    return (word & whole) | ZEROS.take(exponent) | point | (part << np.uint64(8))


def _join(
    slots: Words, lengths: NDArray[np.int64], *, cells: NDArray[np.int64], n_columns: int
) -> bytes:
    """Lines of numbers: the slots of these cells, each from where the one before it ends."""
    lengths = lengths.take(cells)
    ends = np.cumsum(lengths)
    text = np.empty(ends[-1] + SLOT, np.uint8)
    # a slot at every byte; what a slot has behind its tab, the next one overwrites
    places = np.ndarray((ends[-1] + 1,), np.complex128, text, strides=(1,))
    places[ends - lengths] = slots.view(np.complex128)[:, 0].take(cells)
    text[ends[n_columns - 1 :: n_columns] - 1] = ord("\n")
    return text[: ends[-1]].tobytes()
