"""Matrices as text and back, many numbers at once: ``%.6g``, as numpy.savetxt writes it.

A number's characters are handled as 64-bit words, eight at a time (first character lowest), on
whole arrays. The few numbers that need more (ties within rounding, exponents, ``nan``) go through
Python one by one.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

DIGITS = 6
BLOCK = 1 << 14
"""Numbers at once: their arrays stay in the processor's cache."""
TEXT_BLOCK = 8 * BLOCK
SLOT = 16
"""Bytes of a number and what follows it: two words."""
TIE = 1e-5
"""A scaled number this close to a half may round either way: Python decides."""
SMALLEST, LARGEST = 1e-4, 999999.0
"""Between these ``%.6g`` has no exponent."""
POWERS = 10.0 ** np.arange(23)
"""All powers of ten that a double holds exactly."""
TRIPLETS = np.array([int.from_bytes(b"%03d" % n, "little") for n in range(1000)], np.uint64)
"""Three digits as characters."""
END_ZEROS = np.array([3 if not n else 2 * (n % 100 == 0) or int(n % 10 == 0) for n in range(1000)])
"""How many zeros end three digits."""
DECADES = np.floor(np.log10(2.0) * (np.arange(2048) - 1023)).astype(np.int64)
"""Decimal exponent of the power of two below a number; the number's own, or one less."""
LOWEST_POWER = -4
KEPT = np.arange(SLOT) < np.arange(SLOT + 1)[:, None]
"""Which bytes of a slot count, by the length of what is in it."""
ONES = np.uint64(0x0101010101010101)
MANY_ODD = 0.1
"""From this share of numbers on that Python must read, it reads them all."""


def format_matrix(matrix: NDArray[np.floating]) -> bytes:
    """Text of a matrix: ``%.6g``, tabs, lines; byte for byte as ``numpy.savetxt`` writes it.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns)
        Of a symmetric one, each number is made into text once.
    """
    values = np.asarray(matrix, np.float64)
    flat, places = values.reshape(-1), None
    if values.shape[0] == values.shape[1] and np.array_equal(values, values.T, equal_nan=True):
        upper, places = _list_pairs(len(values))
        flat = values.take(upper)
    spelled = [_spell(flat[k : k + BLOCK]) for k in range(0, len(flat), BLOCK)]
    low, high, lengths = (np.concatenate(parts) for parts in zip(*spelled, strict=True))
    n_rows = max(1, BLOCK // values.shape[1])
    lines = []
    for start in range(0, len(values), n_rows):
        stop = min(start + n_rows, len(values))
        cells = np.s_[start * values.shape[1] : stop * values.shape[1]]
        chosen = cells if places is None else places[cells]
        lines.append(_join(low[chosen], high[chosen], lengths[chosen], values.shape[1]))
    return b"".join(lines)


@lru_cache(maxsize=4)
def _list_pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat places of the upper triangle with diagonal; and for each cell which of them it is."""
    rows, columns = np.triu_indices(n)
    places = np.zeros((n, n), np.int64)
    places[rows, columns] = np.arange(len(rows))
    return rows * n + columns, np.maximum(places, places.T).reshape(-1)


def parse_numbers(text: bytes) -> NDArray[np.float64]:
    """Numbers of a text, separated by blanks, tabs or lines; each as ``float`` reads it.

    Raises
    ------
    ValueError
        If a word is no number.
    """
    blocks, start = [np.empty(0)], 0
    while start < len(text):
        stop = text.find(b"\n", start + TEXT_BLOCK) + 1 or len(text)
        blocks.append(_parse_block(text[start:stop]))
        start = stop
    return np.concatenate(blocks)


def _parse_block(text: bytes) -> NDArray[np.float64]:
    padded = b"0" * 8 + text + b"\n"
    data = np.frombuffer(padded, np.uint8)
    words = np.ndarray((len(padded) - 7,), np.uint64, padded, strides=(1,))
    starts, points, ends = _find_words(data)
    is_negative = data.take(starts) == ord("-")
    first = starts + is_negative
    if (points - first).max(initial=0) > 1:
        whole, is_odd = _read_digits(words, first, points)
    else:  # as most connectomes are: one digit before the point
        digit = data.take(first) - np.uint8(ord("0"))
        whole, is_odd = digit.astype(np.float64), digit > 9
    after = np.minimum(points + 1, ends)
    part, is_also_odd = _read_digits(words, after, ends)
    is_odd |= is_also_odd | (points == first)
    if is_odd.sum() > MANY_ODD * len(starts):
        return np.fromiter(map(float, text.split()), np.float64, len(starts))
    # all are exact in a double, so that one division rounds as it should
    scale = POWERS.take(ends - after, mode="clip")
    numbers = (whole * scale + part) / scale
    np.negative(numbers, out=numbers, where=is_negative)
    for index in np.flatnonzero(is_odd):
        numbers[index] = float(padded[starts[index] : ends[index]])
    return numbers


def _find_words(
    data: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where each word starts, has its point (else: ends), and ends; the first 8 bytes are pad."""
    places = np.flatnonzero((data <= ord(" ")) | (data == ord(".")))
    is_end = data.take(places) != ord(".")
    last = np.flatnonzero(is_end)
    ends = places.take(last)
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 8, ends[:-1] + 1
    before = places.take(np.maximum(last - 1, 0))
    # with two points, the first is not seen here, and is no digit
    points = np.where(before >= starts, before, ends)
    if (ends == starts).any():
        kept = ends > starts
        return starts[kept], points[kept], ends[kept]
    return starts, points, ends


def _read_digits(
    words: Words, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers of up to eight digits each, and where there is anything else."""
    lengths = ends - starts
    is_odd = (lengths > 8) | (lengths < 0)
    cut = np.clip(8 - lengths, 0, 7).astype(np.uint64) << np.uint64(3)
    # characters before the number become the digit 0
    x = ((words[ends - 8] ^ (ONES * np.uint64(0x30))) >> cut) << cut
    is_odd |= ((x + ONES * np.uint64(0x76)) | x) & (ONES * np.uint64(0x80)) != 0
    x = (x * np.uint64(10) + (x >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x * np.uint64(100) + (x >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    x = (x * np.uint64(10000) + (x >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    is_empty = lengths <= 0
    x[is_empty] = 0
    is_odd[is_empty & (lengths == 0)] = False
    return x.astype(np.float64), is_odd


def _spell(values: NDArray[np.float64]) -> tuple[Words, Words, NDArray[np.int64]]:
    """Characters of each number as two words, and how many they are."""
    mantissa, exponent, is_odd = _round(values)
    front, back = np.divmod(mantissa, 1000)
    word = TRIPLETS.take(front) | (TRIPLETS.take(back) << np.uint64(24))
    n_zeros = END_ZEROS.take(back)
    n_zeros += END_ZEROS.take(front) * (back == 0)
    n_digits = np.maximum(DIGITS - n_zeros, 1)
    low, high = np.zeros_like(word), np.zeros_like(word)
    lengths = np.empty(len(values), np.int64)
    for power in np.flatnonzero(np.bincount(exponent - LOWEST_POWER)) + LOWEST_POWER:
        rows = np.flatnonzero(exponent == power)
        low[rows], high[rows], lengths[rows] = _place_point(word[rows], n_digits[rows], int(power))
    is_negative = np.signbit(values)
    rows = np.flatnonzero(is_negative)
    high[rows] = (high[rows] << np.uint64(8)) | (low[rows] >> np.uint64(56))
    low[rows] = (low[rows] << np.uint64(8)) | np.uint64(ord("-"))
    lengths += is_negative
    for row in np.flatnonzero(is_odd):
        spelled = f"{values[row]:.6g}".encode()
        lengths[row] = len(spelled)
        low[row], high[row] = np.frombuffer(spelled.ljust(SLOT, b"\0"), np.uint64)
    return low, high, lengths


def _round(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Six digits, decimal exponent, and which numbers must be left to Python."""
    size = np.abs(values)
    is_odd = ~((size >= SMALLEST) & (size < LARGEST))
    size[is_odd] = 1.0
    exponent = DECADES.take(size.view(np.int64) >> 52)
    exponent += size >= np.where(exponent >= -1, POWERS.take(exponent + 1, mode="clip"), np.inf)
    scaled = size * POWERS.take(DIGITS - 1 - exponent)
    is_high = scaled >= 10**DIGITS
    exponent += is_high
    scaled[is_high] = size[is_high] * POWERS.take(DIGITS - 1 - exponent[is_high])
    rounded = np.rint(scaled)
    is_odd |= (np.abs(np.abs(scaled - rounded) - 0.5) < TIE) | (rounded >= 10**DIGITS)
    is_zero = values == 0
    is_odd &= ~is_zero
    rounded[is_odd | is_zero] = 0
    exponent[is_zero] = 0
    return rounded.astype(np.int64), exponent, is_odd


def _place_point(
    word: Words, n_digits: NDArray[np.int64], power: int
) -> tuple[Words, Words, NDArray[np.int64]]:
    """Put the point among six digits: ``12.3``, ``0.00123``; none where nothing follows it."""
    if power < 0:
        lead = b"0." + b"0" * (-power - 1)
        low = word << np.uint64(8 * len(lead)) | np.uint64(int.from_bytes(lead, "little"))
        return low, word >> np.uint64(64 - 8 * len(lead)), n_digits + len(lead)
    n_whole = power + 1
    shift = np.uint64(8 * n_whole)
    point = np.uint64(ord(".")) << shift
    low = (word & ((np.uint64(1) << shift) - np.uint64(1))) | point
    low |= (word >> shift) << (shift + np.uint64(8))
    lengths = np.where(n_digits > n_whole, n_digits + 1, n_whole)
    return low, np.zeros_like(word), lengths


def _join(low: Words, high: Words, lengths: NDArray[np.int64], n_columns: int) -> bytes:
    """Lines of numbers: a tab or a line's end after each, and no gaps."""
    separators = np.full((len(low) // n_columns, n_columns), ord("\t"), np.uint64)
    separators[:, -1] = ord("\n")
    character = separators.reshape(-1)
    place = lengths.astype(np.uint64) << np.uint64(3)
    is_low = lengths < 8
    # what stands behind a number may be anything: it is not kept
    in_low = np.where(is_low, place, np.uint64(0))
    in_high = np.where(is_low, np.uint64(0), place - np.uint64(64))
    one = np.uint64(1)
    words = np.empty((len(low), 2), np.uint64)
    words[:, 0] = np.where(is_low, (low & ((one << in_low) - one)) | (character << in_low), low)
    words[:, 1] = (high & ((one << in_high) - one)) | (character << in_high)
    return words.view(np.uint8)[KEPT.take(lengths + 1, axis=0)].tobytes()
