"""Text and JSON of other people: read in bounds, and what is wrong is said."""

import json
import os
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io import texts
from kraken_bids.io.texts import parse_json, read_json, read_text


@pytest.mark.parametrize(
    "content",
    [
        {"RepetitionTime": 2, "Deep": [[[[{"a": [1, -2.5, None]}]]]]},
        {"Words": ["half-open [0, 1)"] * 60, "Names": "Fälle 😀 \u2028"},
        {"UID": "1.2.840.113619." + "7" * 40, "Large": 10**299},
        {},
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_ordinary_json_is_read_as_python_reads_it(
    tmp_path: Path, content: dict[str, object], escaped: bool
) -> None:
    """Brackets in words, letters of every kind, spelled either way, long numbers."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, ensure_ascii=escaped), encoding="utf-8-sig")

    assert read_json(path) == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "without end"),
        ("[" * 100_000, "without end"),
        ('{"a": "\\ud83d"}', "surrogates"),
        ('{"a": ' + "1" * 400 + "}", "400 digits"),
        ('{"a": ' + "1" * 5000 + "}", "5,000 digits"),
        ('{"a": "\0"}', "zero bytes"),
        ("[]", "found a list"),
        ("{", "Expecting"),
    ],
)
def test_json_that_nothing_could_be_done_with_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    """Nested without end, half characters, numbers that no float holds, other kinds."""
    path = tmp_path / "a.json"
    path.write_text(text)

    with pytest.raises(InputError, match=message) as caught:
        read_json(path)
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("content", ["{}".encode("utf-16"), b'{"a": "\xe9"}'])
def test_other_encodings_are_refused(tmp_path: Path, content: bytes) -> None:
    """UTF-16 and Latin-1 are no UTF-8."""
    path = tmp_path / "a.json"
    path.write_bytes(content)

    for read in (read_json, read_text):
        with pytest.raises(InputError, match=r"a\.json"):
            read(path)


def test_a_text_is_read_as_far_as_it_may_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte more is refused before it is parsed, and the file is named."""
    monkeypatch.setattr(texts, "MAX_TEXT", 20)
    path = tmp_path / "a.json"
    path.write_text('{"a":' + "1" * 14 + "}")
    assert read_json(path) == {"a": int("1" * 14)}
    path.write_text('{"a":' + "1" * 15 + "}")

    with pytest.raises(InputError, match=r"more than 20 bytes"):
        read_json(path)
    with pytest.raises(ValueError, match="more than 20 bytes"):
        parse_json(path.read_bytes())


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_may_never_end_is_not_opened(tmp_path: Path, kind: str) -> None:
    """A pipe that nobody writes to, a link to a device, a folder."""
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()

    with pytest.raises(InputError, match="a folder, a pipe or a device"):
        read_text(path)


def test_what_the_shell_holds_open_is_read() -> None:
    """``--config-file <(…)`` gives such a name."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"mem-gb = 2\n")
    os.close(write_end)
    try:
        assert read_text(Path(f"/dev/fd/{read_end}")) == "mem-gb = 2\n"
    finally:
        os.close(read_end)
