"""Large members of a zip archive, stored as they come: isal's checksum is the quicker one."""

import zipfile
from typing import IO, Any, cast

READABLE = 0o600 << 16
"""What zipfile notes of a member that is no file."""
UTF_NAME = 1 << 11
"""Bit that says how a name is written; zipfile sets it by itself before Python 3.14."""


class StoredMember:
    """A member of an archive that is written, byte for byte as zipfile writes it.

    Parameters
    ----------
    archive : ZipFile
        Opened by ``"w"``; a small member has been written before, and no other one is open.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._file = cast(IO[bytes], archive.fp)
        self._info = zipfile.ZipInfo(name)
        self._info.external_attr, self._info.CRC = READABLE, 0
        self._info.flag_bits = 0 if name.isascii() else UTF_NAME
        self._info.header_offset = self._file.tell()
        self._file.write(self._info.FileHeader(zip64=True))

    def write(self, data: Any) -> int:
        """Write bytes, or the memory of an array."""
        from isal import isal_zlib

        n_bytes = memoryview(data).nbytes
        self._file.write(data)
        self._info.CRC = isal_zlib.crc32(data, self._info.CRC)
        self._info.file_size += n_bytes
        self._info.compress_size += n_bytes
        return n_bytes

    def close(self) -> None:
        """Say in the archive what has been written."""
        end = self._file.tell()
        self._file.seek(self._info.header_offset)
        self._file.write(self._info.FileHeader(zip64=True))
        self._file.seek(end)
        self._archive.start_dir = end
        self._archive.filelist.append(self._info)
        self._archive.NameToInfo[self._info.filename] = self._info
