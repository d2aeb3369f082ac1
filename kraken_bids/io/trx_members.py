"""The files inside a TRX, a zip file or a folder, as streams; nothing is ever unpacked to disk."""

import io
import logging
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_archive
from kraken_bids.io.byte_streams import MAX_TRACK_RATIO

LOCAL_HEADER_BYTES = 30

logger = logging.getLogger(__name__)


def list_members(path: Path) -> dict[str, int]:
    """Names of the files in a TRX and their bytes, unpacked.

    Raises
    ------
    InputError
        If a name points out of the file, or it would unpack to more than tracks do.
    """
    if path.is_dir():
        files = (p for p in sorted(path.rglob("*")) if p.is_file())
        return {p.relative_to(path).as_posix(): p.stat().st_size for p in files}
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        try:
            check_archive(archive, path.stat().st_size, max_ratio=MAX_TRACK_RATIO)
        except ValueError as error:
            raise InputError(
                f"expected a tractogram of the format TRX at {path}; found {error}. Do not use "
                "this file."
            ) from error
    return {info.filename: info.file_size for info in infos}


def open_member(path: Path, name: str, *, may_be_edited: bool = False) -> BinaryIO:
    """Open one file of a TRX to read its bytes.

    Parameters
    ----------
    path : path
        A zip file, or a folder.
    name : str
        Of the file in it.
    may_be_edited : bool
        Whether an old checksum is said (a warning) instead of refused, where the file is stored
        as it is: trx-python maps such files for writing, so that edits of an array change the
        bytes and not their checksum.
    """
    if path.is_dir():
        return (path / name).open("rb")
    with zipfile.ZipFile(path) as archive:  # the stream keeps the file open
        info = archive.getinfo(name)
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise zipfile.BadZipFile(f"two sizes of {name!r}")
        if may_be_edited and info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
            return cast(BinaryIO, _StoredMember(path, info))
        return cast(BinaryIO, archive.open(name))


class _StoredMember(io.RawIOBase):
    """Bytes of a member that is stored as it is; a checksum that does not fit is logged."""

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        self._path, self._info = path, info
        self._left, self._checksum = info.file_size, 0
        self._file = path.open("rb")
        try:
            self._file.seek(info.header_offset)
            header = self._file.read(LOCAL_HEADER_BYTES)
            if len(header) < LOCAL_HEADER_BYTES or not header.startswith(b"PK\3\4"):
                raise zipfile.BadZipFile(f"no file header of {info.filename!r}")
            self._file.seek(sum(struct.unpack_from("<2H", header, 26)), io.SEEK_CUR)
        except BaseException:
            self._file.close()
            raise

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(self._left if size < 0 else min(size, self._left))
        self._checksum = zlib.crc32(content, self._checksum)
        self._left -= len(content)
        if content and not self._left and self._checksum != self._info.CRC:
            logger.warning(
                "%s: the checksum of %s in it does not fit. It was edited in place, as trx-python "
                "does with what it loads, or it is damaged; it is read as it is. Load it with "
                "trx-python and save it anew if the edit was meant, else copy it again",
                self._path,
                self._info.filename,
            )
        return content

    def close(self) -> None:
        self._file.close()
        super().close()
