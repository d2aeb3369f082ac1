"""Members of a zip archive are stored byte for byte as zipfile does it."""

import io
import zipfile

import numpy as np

from kraken_bids.io.stored_members import StoredMember

PIECES = [b"head", np.arange(600_000, dtype=np.float32).reshape(3, -1).data, b"", b"tail"]


def test_an_archive_is_that_of_zipfile() -> None:
    """Several members, names of any letters, pieces of any kind, an empty one; and it is sound."""
    ours, theirs = io.BytesIO(), io.BytesIO()
    for target in (ours, theirs):
        with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
            with archive.open("subjects.npy", "w", force_zip64=True) as small:
                small.write(b"s1")
            for name, pieces in (("a->b.npy", PIECES), ("größe->b.npy", PIECES[:1]), ("c", [])):
                member = (
                    StoredMember(archive, name)
                    if target is ours
                    else archive.open(name, "w", force_zip64=True)
                )
                for piece in pieces:
                    member.write(piece)
                member.close()

    assert ours.getvalue() == theirs.getvalue()
    with zipfile.ZipFile(ours) as archive:
        assert archive.testzip() is None
        assert len(archive.read("a->b.npy")) == 2_400_008


def test_four_gigabytes_are_noted_as_zipfile_notes_them() -> None:
    """Sizes and places beyond four bytes."""
    ours = io.BytesIO()
    with zipfile.ZipFile(ours, "w") as archive:
        archive.writestr("subjects.npy", b"s1")
        member = StoredMember(archive, "a")
        member._info.file_size = member._info.compress_size = (1 << 32) - 3
        member.write(b"hello")
        member.close()
    with zipfile.ZipFile(ours) as archive:
        assert archive.getinfo("a").file_size == (1 << 32) + 2
