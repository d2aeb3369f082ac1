"""Matrices as text and back, many numbers at once: ``%.6g``, as numpy.savetxt writes it.

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
TEXT_BLOCK = 1 << 17
"""Characters at once. Larger arrays would be new memory each time, and cost its page faults."""
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
EXACT_DIGITS = 15
"""So many digits, whatever they are, fit into a double."""
ONES = np.uint64(0x0101010101010101)
MANY_ODD = 0.1
"""From this share of numbers on that Python must read, it reads them all."""


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


@lru_cache(maxsize=4)
def _list_pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat places of the upper triangle with diagonal; and for each cell which of them it is."""
    rows, columns = np.triu_indices(n)
    places = np.zeros((n, n), np.int64)
    places[rows, columns] = np.arange(len(rows))
    return rows * n + columns, np.maximum(places, places.T).reshape(-1)


def parse_rows(text: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    """Numbers of a text, separated by blanks, tabs or lines; each as ``float`` reads it.

    Returns
    -------
    numbers : ndarray of shape (n_numbers,)
    lengths : ndarray of shape (n_rows,)
        Numbers in each line that has any.
    has_gaps : bool
        Whether separators follow each other anywhere.

    Raises
    ------
    ValueError
        If a word is no number, or there are bytes that no text has.
    """
    # room for more than there can be: what is not written to takes no memory, and giving it back
    # whole lets the C library keep it for the next matrix
    values, n_values, start = np.empty(len(text) // 2 + 1), 0, 0
    lengths: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    has_gaps = False
    while start < len(text):
        stop = text.find(b"\n", start + TEXT_BLOCK) + 1 or len(text)
        block, in_lines, is_gappy = _parse_block(memoryview(text)[start:stop])
        values[n_values : n_values + len(block)] = block
        start, n_values = stop, n_values + len(block)
        lengths.append(in_lines)
        has_gaps |= is_gappy
    return values[:n_values].copy(), np.concatenate(lengths), has_gaps


def _parse_block(text: memoryview) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    padded = b"".join([b"0" * 8, text, b"" if text[-1] == ord("\n") else b"\n"])
    data = np.frombuffer(padded, np.uint8, offset=8)
    # at each place, the eight characters before it
    words = np.ndarray((len(data) + 1,), np.uint64, padded, strides=(1,))
    starts, ends, lengths, has_gaps = _find_words(data)
    is_negative = data.take(starts) == ord("-")
    first = starts + is_negative
    points = first + 1
    is_elsewhere = (data.take(points, mode="clip") != ord(".")) & (points != ends)
    if is_elsewhere.any():
        points = _find_points(data, starts, ends)
        whole, is_odd = _read_digits(words, first, points)
        is_odd |= (points == first) | (ends - first > EXACT_DIGITS)
    else:  # as most connectomes are: one digit before the point
        digit = data.take(first) - np.uint8(ord("0"))
        whole, is_odd = digit.astype(np.float64), digit > 9
    after = np.minimum(points + 1, ends)
    part, is_also_odd = _read_digits(words, after, ends)
    long = np.flatnonzero((ends - after > 8) & (ends - first <= EXACT_DIGITS + 1))
    if long.size:  # small numbers: 0.000123456
        middle = ends[long] - 8
        high, is_high_odd = _read_digits(words, after[long], middle)
        low, is_low_odd = _read_digits(words, middle, ends[long])
        part[long], is_also_odd[long] = 1e8 * high + low, is_high_odd | is_low_odd
    is_odd |= is_also_odd
    if np.count_nonzero(is_odd) > MANY_ODD * len(starts):
        numbers = np.fromiter(map(float, bytes(text).split()), np.float64, len(starts))
        return numbers, lengths, has_gaps
    # all are exact in a double, so that one division rounds as it should
    scale = POWERS.take(ends - after, mode="clip")
    numbers = (whole * scale + part) / scale
    numbers *= 1.0 - 2.0 * is_negative
    for index in np.flatnonzero(is_odd):
        numbers[index] = float(bytes(text[starts[index] : ends[index]]))
    return numbers, lengths, has_gaps


def _find_words(
    data: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], bool]:
    """Where each word starts and ends; words in each line with any; and whether some are empty."""
    ends = np.flatnonzero(data <= ord(" "))
    behind = data.take(ends)
    if ((behind < ord("\t")) | (behind - np.uint8(14) < 18)).any():  # 14 to 31
        raise ValueError("bytes that no text has")
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 0, ends[:-1] + 1
    is_word, is_last = ends > starts, behind == ord("\n")
    if is_word.all():
        return starts, ends, np.diff(np.flatnonzero(is_last), prepend=-1), False
    lines = np.cumsum(is_last) - is_last
    lengths = np.bincount(lines[is_word])
    return starts[is_word], ends[is_word], lengths[lengths > 0], True


def _find_points(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where each word has its last point; its end where it has none."""
    places = np.flatnonzero((data <= ord(" ")) | (data == ord(".")))
    is_end = np.zeros(len(data), np.bool_)
    is_end[ends] = True
    before = places.take(np.flatnonzero(is_end.take(places)) - 1, mode="clip")
    # with two points, the first is not seen here, and is no digit
    points: NDArray[np.int64] = np.where(before >= starts, before, ends)
    return points


def _read_digits(
    words: Words, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers of up to eight digits each, and where there is anything else."""
    lengths = ends - starts
    # characters before the number become the digit 0; a shift by 64 bits or more leaves nothing
    cut = (64 - 8 * lengths).view(np.uint64)
    x = ((words[ends] ^ (ONES * np.uint64(0x30))) >> cut) << cut
    is_odd = ((x + ONES * np.uint64(0x76)) | x) & (ONES * np.uint64(0x80)) != 0
    is_odd |= lengths > 8
    # neighbours become one number: digits, then pairs, then fours of them
    x = (x * np.uint64(1 + (10 << 8)) >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    x = (x * np.uint64(1 + (100 << 16)) >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    x = x * np.uint64(1 + (10000 << 32)) >> np.uint64(32)
    return x.view(np.int64).astype(np.float64), is_odd


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
