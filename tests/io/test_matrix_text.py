"""Matrices as text, against numpy.savetxt and Python's float."""

import io

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kraken_bids.io import matrix_rows
from kraken_bids.io.matrix_rows import parse_rows
from kraken_bids.io.matrix_text import format_matrix, round_as_written

HARD = [
    np.nan, np.inf, -np.inf, 0.0, -0.0, 999999.5, 999999.4, 9999995.0, 9.999995, 0.00009999995,
    1e-300, -1e300, 0.1234565, 1234565.0, 1e-4, 9.99999e-5, 1e5, 1e6, 123456.5, 0.5, 5e-324,
]  # fmt: skip


def savetxt(matrix: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.savetxt(text, matrix, fmt="%.6g", delimiter="\t")
    return text.getvalue()


def check(matrix: np.ndarray) -> None:
    text = savetxt(matrix)
    assert b"".join(format_matrix(matrix)) == text
    expected = np.array([float(word) for word in text.split()])
    np.testing.assert_array_equal(parse_rows(text)[0], expected)
    rounded = round_as_written(matrix.reshape(-1))
    np.testing.assert_array_equal(rounded, expected)
    np.testing.assert_array_equal(np.signbit(rounded), np.signbit(expected))


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_any_number_is_written_and_read_as_numpy_and_python_do(matrix: np.ndarray) -> None:
    """Byte for byte as savetxt writes, bit for bit as float reads."""
    check(matrix)


@pytest.mark.parametrize("digits", [2, 6, 7, 17])
@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e-2, 1.0, 30.0, 1e5, 1e6, 1e12])
def test_numbers_of_all_sizes(scale: float, digits: int) -> None:
    """Also where they were rounded before, so that ties are frequent; in several blocks."""
    rng = np.random.default_rng(3)
    check(np.round(rng.standard_normal((150, 140)) * scale, digits))


def test_hard_numbers_and_whole_ones() -> None:
    """Ties, powers of ten, what has no value; integers, as counts of streamlines are."""
    check(np.array([HARD]))
    check(10.0 ** np.arange(-8, 12)[None])
    check(np.random.default_rng(0).integers(-(10**7), 10**7, (60, 50)).astype(float))


@pytest.mark.parametrize("missing", [False, True])
def test_symmetric_matrices(missing: bool) -> None:
    """Where each number is spelled once and put in two places."""
    square = np.random.default_rng(1).random((270, 270))
    square += square.T
    if missing:
        square[7] = square[:, 7] = np.nan
    check(square)


def test_zeros_of_two_signs_are_not_symmetric() -> None:
    """``0`` and ``-0`` are equal, but other texts."""
    check(np.array([[1.0, 0.0], [-0.0, 1.0]]))


@pytest.mark.parametrize(
    "text", [b"1\t2\n3\t4", b" 1  2\r\n3\t\t4\r\n\n", b"+1 2e0 .3e1 4.\n", b"1. 2 03 0004"]
)
def test_other_writers_spell_numbers_in_other_ways(text: bytes) -> None:
    """No last line end, several blanks, Windows lines, signs, exponents, bare points."""
    np.testing.assert_array_equal(parse_rows(text)[0], [1, 2, 3, 4])
    assert not len(parse_rows(b" \n")[0])


def test_a_few_long_numbers_among_short_ones() -> None:
    """More digits than a power of ten that a double holds exactly."""
    long = [b"0." + b"1234567890" * 3, b"12345678901234567890123", b"90071992.54740993"]
    words = [*[b"0.5"] * 40, *long, b"99999999.99999999", b"1e-320"]
    expected = [float(word) for word in words]
    np.testing.assert_array_equal(parse_rows(b"\t".join(words))[0], expected)


@pytest.mark.parametrize("n_decimals", range(8, 19))
@pytest.mark.parametrize("front", [b"0.", b"-0.", b"7.", b"-12.", b"."])
def test_small_numbers_are_read_as_python_reads_them(front: bytes, n_decimals: int) -> None:
    """With more than eight digits behind the point, as ``%.6g`` writes them; and wrong ones."""
    rng = np.random.default_rng(n_decimals)
    words = [
        front
        + b"0" * (n_decimals - 6 + k % 7 - 6)
        + bytes(rng.integers(48, 58, n_decimals).tolist())
        for k in range(60)
    ]
    words += [front + b"0" * (n_decimals - 6) + b"%06d" % k for k in rng.integers(0, 10**6, 60)]

    np.testing.assert_array_equal(parse_rows(b"\t".join(words))[0], [float(w) for w in words])
    for place in (3, n_decimals - 1):
        word = bytearray(front + b"0" * n_decimals)
        word[len(front) + place] = ord("x")
        with pytest.raises(ValueError, match="could not convert"):
            parse_rows(b"1\t" * 30 + bytes(word))


@pytest.mark.parametrize(
    "word", [b"a", b"1.2.3", b"1-2", b"-", b".", b"--1", b"1,5", b"0x1", b"\xff"]
)
def test_words_are_refused(word: bytes) -> None:
    """What float refuses is a ValueError here too."""
    for text in (word, b"1\t" * 30 + word + b"\n"):
        with pytest.raises(ValueError, match=r"could not convert|decode"):
            parse_rows(text)


@pytest.mark.parametrize("byte", [b"\0", b"\x08", b"\x0e", b"\x1f"])
def test_bytes_that_no_text_has_are_refused(byte: bytes) -> None:
    """They are no blanks: a file that ends in zeros is damaged."""
    for text in (b"0.5\t0.1" + byte + b"\n", byte + b"1\n", b"1\t2" + byte):
        with pytest.raises(ValueError, match="no text"):
            parse_rows(text)


@pytest.mark.parametrize("n_lines", [1, 3, 9000])
@pytest.mark.parametrize(
    ("text", "lengths", "has_gaps"),
    [
        (b"1\t2\t3\n4\n", [3, 1], False),
        (b"1\t2\n3\t4", [2, 2], False),
        (b"1\t\t2\n\n3\t4\t\n", [2, 2], True),
        (b"\n \n", [], True),
    ],
)
def test_the_numbers_of_each_line_are_counted(
    text: bytes, lengths: list[int], has_gaps: bool, n_lines: int
) -> None:
    """Lines without any do not count; in few blocks or many."""
    _, found, gappy = parse_rows(b"\n".join([text.rstrip(b"\n")] * n_lines) + b"\n")

    assert found.tolist() == lengths * n_lines
    assert gappy is has_gaps


PARTS = (b"1", b"-2.5", b"1e3", b"\t", b"\t", b" ", b"\n", b"\n")


@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_lines_that_are_too_long_are_read_in_parts(parts: list[bytes]) -> None:
    """Numbers, their count in each line and gaps are those of lines that are read whole."""
    text = b"".join(parts)
    assume(all(len(word) < 16 and is_number(word) for word in text.split()))
    expected = parse_rows(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_rows, "TEXT_BLOCK", 4)
        patch.setattr(matrix_rows, "LONGEST_BLOCK", 16)
        found = parse_rows(text)

    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[2] == expected[2]


def is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def test_no_word_is_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without separators is not looked through as a whole."""
    monkeypatch.setattr(matrix_rows, "LONGEST_BLOCK", 16)
    with pytest.raises(ValueError, match="a word of more than 16 letters"):
        parse_rows(b"1 2\n" + b"1" * 17)


def test_no_more_numbers_are_read_than_there_can_be() -> None:
    """What a square of its lines cannot have ends the reading."""
    assert len(parse_rows(b"1 2\n3 4\n", at_most=4)[0]) == 4
    with pytest.raises(ValueError, match="more numbers than there can be, 3"):
        parse_rows(b"1 2\n3 4\n", at_most=3)
