"""What every room needs of the file system: whole files or none, and the cache folder."""

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kraken_bids.exceptions import InputError

CACHE_VARIABLE = "KRAKEN_BIDS_DATA"
_UMASK = os.umask(0o077)
os.umask(_UMASK)
FILE_MODE = 0o666 & ~_UMASK
"""What the user's umask gives new files; some libraries write theirs for their owner alone."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` if the block ends well, and vanishes if not.

    It lies in the same folder (which is made), starts with a dot and keeps the suffix: a killed
    run leaves at most such a file, never half a file under its final name.

    Parameters
    ----------
    path : path
        The file to be.

    Yields
    ------
    path
        Where to write.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.stem}.{token}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.chmod(FILE_MODE)
        _flush(temporary)
        temporary.replace(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(_explain(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def find_cache_folder() -> Path:
    """Folder of downloaded files: ``$KRAKEN_BIDS_DATA``, else in the user's cache folder."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "kraken_bids"
    home = Path("~").expanduser()
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return caches / "kraken_bids"


def _flush(path: Path) -> None:
    """Make sure that the bytes are on the disk before the name is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(path: Path, error: OSError) -> str:
    # h5py reports a full disk in words only.
    if error.errno in DISK_FULL or os.strerror(errno.ENOSPC) in str(error):
        return (
            f"expected room for {path}; the disk (or the quota) is full, so {path.name} was not "
            "written. Free some space and rerun the same command: finished files are kept."
        )
    return (
        f"expected to write {path}; writing gave: {error}. Check that the output folder may be "
        "written to (in a container: that it is mounted, and for this user)."
    )
