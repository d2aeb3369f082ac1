"""Matrices from text, many numbers at once, each as Python's ``float`` reads it.

As :mod:`kraken_bids.io.matrix_text` does, which writes it, by 64-bit words of eight characters.
"""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.matrix_text import ONES, POWERS, Words

TEXT_BLOCK = 1 << 17
"""Characters at once. Larger arrays would be new memory each time, and cost its page faults."""
LONGEST_BLOCK = 1 << 20
"""A line that is longer is read in parts."""
BLANKS = (b"\t", b" ")
EXACT_DIGITS = 15
"""So many digits, whatever they are, fit into a double."""
MANY_ODD = 0.1
"""From this share of numbers on that Python must read, it reads them all."""


def parse_rows(
    text: bytes, *, at_most: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    """Numbers of a text, separated by blanks, tabs or lines; each as ``float`` reads it.

    Parameters
    ----------
    at_most : int, optional
        So many numbers, if what is to be made of them cannot have more.

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
        If a word is no number, there are bytes that no text has, or more numbers than can be.
    """
    # room for more than there can be: what is not written to takes no memory, and giving it back
    # whole lets the C library keep it for the next matrix
    room = len(text) // 2 + 1 if at_most is None else min(len(text) // 2 + 1, at_most)
    values, n_values, start, n_begun = np.empty(room), 0, 0, 0
    lengths: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    has_gaps = False
    while start < len(text):
        stop = _find_cut(text, start)
        block, in_lines, is_gappy = _parse_block(memoryview(text)[start:stop])
        if n_values + len(block) > room:
            raise ValueError(f"more numbers than there can be, {room:,}")
        values[n_values : n_values + len(block)] = block
        in_lines[0] += n_begun
        n_begun = 0
        if text[stop : stop + 1] in BLANKS:  # the last line goes on
            n_begun, in_lines = in_lines[-1], in_lines[:-1]
        lengths.append(in_lines[in_lines > 0])
        start, n_values = stop + 1, n_values + len(block)
        has_gaps |= is_gappy
    return values[:n_values].copy(), np.concatenate(lengths), has_gaps


def _find_cut(text: bytes, start: int) -> int:
    """Place of the separator where a block ends: of a line end, unless the line is too long."""
    stop = text.find(b"\n", start + TEXT_BLOCK, start + LONGEST_BLOCK)
    if stop < 0 and len(text) - start <= LONGEST_BLOCK:
        return len(text) - text.endswith(b"\n")
    if stop < 0:
        stop = max(text.rfind(mark, start, start + LONGEST_BLOCK) for mark in (b"\n", *BLANKS))
    if stop < 0:
        raise ValueError(f"a word of more than {LONGEST_BLOCK:,} letters")
    return stop


def _parse_block(text: memoryview) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    """Numbers, how many are in each line, and whether separators follow each other."""
    padded = b"".join([b"0" * 8, text, b"\n"])
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
    """Where each word starts and ends; words in each line; and whether some are empty."""
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
    lengths = np.bincount(lines[is_word], minlength=lines[-1] + 1)
    return starts[is_word], ends[is_word], lengths, True


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
