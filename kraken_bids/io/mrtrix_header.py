"""Headers of MRtrix's images and tracks: lines ``key: value`` up to END."""

from typing import BinaryIO

MAX_HEADER_BYTES = 1 << 22


def read_mrtrix_header(stream: BinaryIO, magic: bytes) -> dict[str, list[str]]:
    """Keys of a header and their values, in order.

    Parameters
    ----------
    stream : binary stream
        At the beginning of the file, unpacked; left behind the header.
    magic : bytes
        How the first line begins.

    Raises
    ------
    ValueError
        If it is another kind of file.
    EOFError
        If the header does not end, or not within 4 MB.
    """
    if not stream.readline(1024).startswith(magic):
        raise ValueError(f"it does not begin with `{magic.decode()}`")
    header: dict[str, list[str]] = {}
    left = MAX_HEADER_BYTES
    while line := stream.readline(left):
        left -= len(line)
        key, colon, value = line.decode("utf-8", "replace").strip().partition(":")
        if key == "END":
            return header
        if colon:
            header.setdefault(key.strip(), []).append(value.strip())
    raise EOFError("its header has no END")
