"""``kraken-tools fetch``: published files into the cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.io.files import find_cache_folder
from kraken_bids.pipeline.measure.ridges import list_targets
from kraken_bids.published.cache import PublishedFile, check_copy, explain_by_hand
from kraken_bids.published.downloads import fetch_file, find_part
from kraken_bids.published.models import (
    ATLASES_FOLDER,
    MODELS_FOLDER,
    PRETRAINED,
    find_file,
    list_atlas_files,
    list_model_files,
    list_published,
    list_published_flavors,
)
from kraken_bids.published.transfers import Patience

MODEL = "model"
ATLASES = "atlases"
TARGETS = "pcorr-targets"


@dataclass(frozen=True)
class Wanted:
    """A published file and its place."""

    file: PublishedFile
    folder: Path
    """Where it is downloaded to."""

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        if self.folder.name == MODELS_FOLDER:
            return find_file(self.file) or self.folder / self.file.name
        return self.folder / self.file.name


def list_wanted(names: Sequence[str]) -> tuple[Wanted, ...]:
    """Files behind the words of the command line, each once.

    Parameters
    ----------
    names : sequence of str
        ``model``, ``atlases``, ``pcorr-targets``, flavors, or names of published files; empty:
        all there are.

    Raises
    ------
    SettingsError
        If a word is none of them.
    """
    cache = find_cache_folder()
    models = {f.name: Wanted(f, cache / MODELS_FOLDER) for f in list_published().values()}
    atlases = {f.name: Wanted(f, cache / ATLASES_FOLDER) for f in list_atlas_files()}
    if not names:
        joint = {f.name: models[f.name] for f in list_model_files()}
        return tuple((joint | atlases | models).values())
    wanted: dict[str, Wanted] = {}
    for name in names:
        if name == ATLASES:
            wanted |= atlases
        elif name == TARGETS:
            wanted |= {f.name: models[f.name] for f in list_targets()}
        elif name in models or name in atlases:
            wanted[name] = (models | atlases)[name]
        elif name in (MODEL, PRETRAINED, *list_published_flavors()):
            own = PRETRAINED if name == MODEL else name
            wanted |= {f.name: models[f.name] for f in list_model_files(own)}
        else:
            raise SettingsError(
                f"expected {MODEL}, {ATLASES}, {TARGETS}, a published flavor or file; found "
                f"{name!r}. "
                "kraken-tools fetch --list shows them."
            )
    return tuple(wanted.values())


def fetch_files(names: Sequence[str], patience: Patience | None = None) -> Iterator[str]:
    """Download what is not there, verify what is; yield one line per file.

    Parameters
    ----------
    names : sequence of str
        As in :func:`list_wanted`, at least one.

    Raises
    ------
    SettingsError
        If nothing is named, or something that was not published.
    InputError
        If a file cannot be had; the message says how to get it and all further ones by hand.
    """
    if not names:
        raise SettingsError(
            f"expected what to fetch: {MODEL} (the joint model of 15 flavors), {ATLASES}, or "
            "flavors; found nothing. kraken-tools fetch --list shows what there is."
        )
    wanted = list_wanted(names)
    yield from _describe_terms(wanted)
    for i, one in enumerate(wanted):
        place = one.path
        try:
            is_new = fetch_file(one.file, place.parent, patience)
        except InputError as error:
            rest = [other for other in wanted[i + 1 :] if not other.path.is_file()]
            raise InputError(f"{error}{_explain_rest(rest)}") from error
        yield f"{'downloaded' if is_new else 'was here':10}  verified  {place}"


def describe_files(names: Sequence[str]) -> Iterator[str]:
    """Yield one line per file: what is here, what is not, size, word that fetches it; and terms.

    Parameters
    ----------
    names : sequence of str
        As in :func:`list_wanted`.

    Raises
    ------
    SettingsError
        If something is named that was not published.
    """
    words = _name_words()
    wanted = list_wanted(names)
    yield f"cache: {find_cache_folder()} (KRAKEN_BIDS_DATA names another)"
    for one in wanted:
        state, size = _describe_state(one)
        word = words.get(one.file.name, "(by its name)")
        yield f"{state:8}{size:>9}  {word:28}  {one.file.name}"
    yield from _describe_terms(wanted)


def _describe_terms(wanted: Sequence[Wanted]) -> Iterator[str]:
    """Licence of each file; of those under the same terms, once for all."""
    for licence in dict.fromkeys(one.file.licence for one in wanted):
        names = [one.file.name for one in wanted if one.file.licence == licence]
        covered = ", ".join(names) if len(names) < 5 else f"the {len(names)} model files"
        yield f"terms of {covered}: {licence}"


def _explain_rest(rest: Sequence[Wanted]) -> str:
    if not rest:
        return ""
    lines = (f"  {one.file.name}. {explain_by_hand(one.file, one.folder)}" for one in rest)
    return "\nNot fetched either:\n" + "\n".join(lines)


def _describe_state(one: Wanted) -> tuple[str, str]:
    """State and size of a file, in words."""
    known = _format_size(one.file.size) if one.file.size else "? MB"
    if one.path.is_file():
        is_sound = not check_copy(one.path, one.file.sha256)
        size = _format_size(one.path.stat().st_size)
        return ("here", size) if is_sound else ("damaged", size)
    return ("begun" if find_part(one.path) else "missing", known)


def _format_size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 100_000 else f"{n_bytes / 1e3:.1f} kB"


def _name_words() -> dict[str, str]:
    """Word of the command line that fetches a file."""
    words = {file.name: ATLASES for file in list_atlas_files()}
    words |= {file.name: TARGETS for file in list_targets()}
    for flavor in list_published_flavors():
        for file in list_model_files(flavor):
            words.setdefault(file.name, flavor)
    return words | {file.name: MODEL for file in list_model_files()}
