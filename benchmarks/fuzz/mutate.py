"""How valid files are damaged: bytes, words of text, values of JSON, and what is packed inside."""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

HEADER_BYTES = 512
"""Half of all damage is done in the beginning, where headers are."""
MAX_DAMAGES = 4
MAX_INSERTED = 64
WIDTHS = "bhiq"
NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 32767, 32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1,
           2**48, 2**63 - 1, -(2**63))  # fmt: skip
FLOATS = (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e-320, 3e38, 1e300, 2.0**31)
WORDS = (
    "nan", "NaN", "n/a", "inf", "-inf", "Infinity", "", " ", "-0", "0", "-1", "1e999", "9" * 400,
    "1" + "0" * 20, "2147483648", "1e-320", "0x10", "1_000", "+5", "1,5", "true", "null", "None",
    "٣", "²", "五", "é", "\0", "7\0", "\u2028", "\x1c", "\x85", "\ufeff", "\r", "\v", '"', "'",
    "#", "%", "..", "../../x", "{subject}", "$HOME", "a" * 3000, "[" * 3000, '{"a":' * 3000,
)  # fmt: skip
TOKEN = re.compile(r"[^\s,;:=\[\]{}\"]+")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**64, 10**400, 0.5, float("nan"), float("inf"), 1e308, "",
    "n/a", "word", "٣", "\0", "../x", [], [None], [1, "a"], [[]], {}, {"a": {}}, {"": None},
    ["word"] * 30,
)  # fmt: skip


def mutate(name: str, content: bytes, other: bytes, rng: Random) -> bytes:
    """Damage a file in one to four places, inside its packing more often than outside.

    Parameters
    ----------
    name : str
        Of the file; its ending tells what it is.
    content : bytes
        A valid file.
    other : bytes
        Another valid file of the kind, parts of which may come into this one.
    rng : Random
    """
    packed = rng.random() < 0.75
    if packed and content.startswith(b"\x1f\x8b"):
        inner = mutate(name.removesuffix(".gz"), _unpack_gzip(content), _unpack_gzip(other), rng)
        return gzip.compress(inner, 1, mtime=0)
    if packed and content.startswith(b"PK\3\4"):
        return _mutate_zip(content, other, rng)
    if packed and content.startswith(b"MATLAB 5"):
        content = _mutate_packed_mat(content, other, rng)
    elif packed and name.endswith(".json"):
        return _mutate_json(content, rng)
    is_text = packed and b"\0" not in content[:1000] and _is_utf8(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, MAX_DAMAGES))):
        damages = TEXT_DAMAGES if is_text and rng.random() < 0.8 else BYTE_DAMAGES
        content = rng.choice(damages)(content, other, rng)
    return content


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


# ------------------------------------------------------------------------------------ bytes


def _place(content: bytes, rng: Random) -> int:
    end = len(content) if rng.random() < 0.5 else min(len(content), HEADER_BYTES)
    return rng.randrange(max(1, end))


def _flip_bit(content: bytes, _other: bytes, rng: Random) -> bytes:
    return _put(content, _place(content, rng), None, rng)


def _put(content: bytes, place: int, new: bytes | None, rng: Random) -> bytes:
    """Put other bytes at a place; without any, turn one bit."""
    if not content:
        return new or b""
    new = bytes([content[place] ^ (1 << rng.randrange(8))]) if new is None else new
    return content[:place] + new + content[place + len(new) :]


def _set_bytes(content: bytes, _other: bytes, rng: Random) -> bytes:
    new = bytes(rng.choice((0, 255, 1, 127, 128, 48)) for _ in range(rng.choice((1, 1, 2, 4, 8))))
    return _put(content, _place(content, rng), new, rng)


def _set_random(content: bytes, _other: bytes, rng: Random) -> bytes:
    return _put(content, _place(content, rng), rng.randbytes(rng.choice((1, 2, 4))), rng)


def _set_number(content: bytes, _other: bytes, rng: Random) -> bytes:
    """Set a whole number at its bounds, or an odd float, of any width and byte order."""
    order = rng.choice("<<>")
    if rng.random() < 0.25:
        code, value = rng.choice("fd"), rng.choice(FLOATS)
        new = struct.pack(f"{order}{code}", value if abs(value) < 3e38 or code == "d" else 0.0)
    else:
        width = struct.calcsize(rng.choice(WIDTHS))
        number = rng.choice((*NUMBERS, len(content), rng.randrange(1 << 16)))
        new = (number % (1 << (8 * width))).to_bytes(width, "little" if order == "<" else "big")
    place = _place(content, rng)
    if rng.random() < 0.7:
        place -= place % min(4, len(new))
    return _put(content, place, new, rng)


def _truncate(content: bytes, _other: bytes, rng: Random) -> bytes:
    return content[: _place(content, rng)]


def _insert(content: bytes, other: bytes, rng: Random) -> bytes:
    place, n_bytes = _place(content, rng), rng.randrange(1, MAX_INSERTED)
    start = _place(other, rng)
    new = rng.choice((rng.randbytes(n_bytes), bytes(n_bytes), other[start : start + n_bytes]))
    return content[:place] + new + content[place:]


def _cut_block(content: bytes, _other: bytes, rng: Random) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + rng.choice((1, 2, 4, 8, 100, 5000)) :]


def _repeat_block(content: bytes, _other: bytes, rng: Random) -> bytes:
    start = _place(content, rng)
    block = content[start : start + rng.choice((1, 4, 8, 100, 1000))]
    return content[:start] + block * rng.choice((2, 2, 3, 20)) + content[start + len(block) :]


def _splice(content: bytes, other: bytes, rng: Random) -> bytes:
    start = _place(content, rng)
    if rng.random() < 0.5:
        return content[:start] + other[start:]
    block = other[(at := _place(other, rng)) : at + rng.choice((4, 16, 64, 512))]
    return _put(content, start, block, rng)


def _append(content: bytes, other: bytes, rng: Random) -> bytes:
    return content + rng.choice((other, bytes(100), rng.randbytes(9)))


Damage = Callable[[bytes, bytes, Random], bytes]
BYTE_DAMAGES: tuple[Damage, ...] = (
    _flip_bit, _flip_bit, _set_bytes, _set_random, _set_number, _set_number, _set_number,
    _truncate, _insert, _cut_block, _repeat_block, _splice, _append,
)  # fmt: skip


# ------------------------------------------------------------------------------------- text


def _exchange_word(content: bytes, _other: bytes, rng: Random) -> bytes:
    """Put another word in place of one, or at its end."""
    text = content.decode("utf-8", "replace")
    found = list(TOKEN.finditer(text[: 1 << 14]))
    word = rng.choice(WORDS)
    if not found:
        return content + word.encode()
    one = rng.choice(found)
    start = one.start() if rng.random() < 0.8 else one.end()
    return (text[:start] + word + text[one.end() :]).encode()


def _change_lines(content: bytes, other: bytes, rng: Random) -> bytes:
    """Repeat a line, leave it out, empty it, or take it from the other file."""
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    line = lines[place]
    lines[place : place + 1] = rng.choice(
        ([line, line], [], [b""], [rng.choice(other.split(b"\n"))], [line[::-1]], [line + line])
    )
    return b"\n".join(lines)


def _change_cells(content: bytes, _other: bytes, rng: Random) -> bytes:
    """Put a cell more or less into a line, or other separators into all of them."""
    mark = rng.choice((b"\t", b",", b" ", b":"))
    if rng.random() < 0.1:
        return content.replace(mark, rng.choice((b"\t", b",", b";", b" ", b"\t\t", b"\n")))
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    cells = lines[place].split(mark)
    at = rng.randrange(len(cells))
    cells[at : at + 1] = rng.choice(([cells[at]] * 2, [], [cells[at], b""], [*cells]))
    lines[place] = mark.join(cells)
    return b"\n".join(lines)


def _recode(content: bytes, _other: bytes, rng: Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-16-be", "utf-8-sig", "cp1252")), "replace")


TEXT_DAMAGES: tuple[Damage, ...] = (
    *(_exchange_word,) * 6, _change_lines, _change_lines, _change_cells, _change_cells, _recode,
)  # fmt: skip


# ------------------------------------------------------------------------------------- JSON


def _mutate_json(content: bytes, rng: Random) -> bytes:
    """Exchange some values for those of other types, and take members out."""
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = _change_value(tree, rng)
    text = json.dumps(tree)
    if rng.random() < 0.05:
        depth = rng.choice((30, 3000, 200_000))
        text = text.replace("0", rng.choice(("[", '{"a":')) * depth, 1)
    return text.encode()


def _change_value(tree: Any, rng: Random) -> Any:
    places = list(_list_places(tree))
    if not places:
        return deepcopy(rng.choice(VALUES))
    parent, key = rng.choice(places)
    action = rng.random()
    if action < 0.7:
        parent[key] = deepcopy(rng.choice(VALUES))
    elif action < 0.85:
        del parent[key]
    else:
        giver, given = rng.choice(places)
        parent[key] = deepcopy(giver[given])
    return tree if rng.random() < 0.98 else deepcopy(rng.choice(VALUES))


def _list_places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree, but of long lists only the first."""
    keys: Sequence[Any] = ()
    if isinstance(tree, dict):
        keys = list(tree)
    elif isinstance(tree, list):
        keys = range(min(len(tree), 3))
    return [(tree, key) for key in keys] + [p for key in keys for p in _list_places(tree[key])]


# ---------------------------------------------------------------------------------- packing


def _unpack_gzip(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _mutate_zip(content: bytes, other: bytes, rng: Random) -> bytes:
    """Damage one member of a zip, leave it out, repeat it, or rename it."""
    members = _read_zip(content)
    theirs = dict(_read_zip(other)) if other.startswith(b"PK") else {}
    place = rng.randrange(len(members))
    name, inner = members[place]
    action = rng.random()
    if action < 0.8:
        members[place] = name, mutate(name, inner, theirs.get(name, inner), rng)
    elif action < 0.88:
        del members[place]
    elif action < 0.94:
        members[place] = rng.choice(WORDS) or "x", inner
    else:
        members.append((f"{name}{rng.choice(('', 'x'))}", inner))
    buffer = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, inner in members:
            archive.writestr(zipfile.ZipInfo(name), inner, kind)
    return buffer.getvalue()


def _read_zip(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _mutate_packed_mat(content: bytes, other: bytes, rng: Random) -> bytes:
    """Damage the bytes of a packed array of MATLAB's, and pack them again."""
    place, elements = 128, []
    while place + 8 <= len(content):
        kind, n_bytes = struct.unpack_from("<2I", content, place)
        elements.append((kind, place + 8, n_bytes))
        place += 8 + n_bytes
    packed = [one for one in elements if one[0] == 15]
    if not packed:
        return content
    _, start, n_bytes = rng.choice(packed)
    inner = zlib.decompress(content[start : start + n_bytes])
    for _ in range(rng.choice((1, 1, 2))):
        inner = rng.choice(BYTE_DAMAGES)(inner, other, rng)
    new = zlib.compress(inner)
    head = content[: start - 8] + struct.pack("<2I", 15, len(new))
    return head + new + content[start + n_bytes :]
