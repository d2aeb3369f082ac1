"""What a file, and an array in it, call themselves, against the flavor that they are given as."""

import re
from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor, list_flavors, parse_meas, recognize_flavor
from kraken_bids.parcellations import list_parcellations

GROUP_KEYS = {"fc": "FC", "sc": "SC", "volnorm": "SC"}
"""Keys of published files that say what kind of connectome they hold."""
NEMO = re.compile(
    r"(?P<owner>.+)_nemo_output_(?P<algorithm>ifod2act|sdstream)_chacoconn_(?P<atlas>[A-Za-z0-9]+)"
    r"_nemoSC(?P<sift2>_sift2)?(?P<volnorm>_volnorm)?_mean\.mat"
)
NEMO_ATLASES = {"cocommpsuit439": "coco439"}
NOT_NEMO_SC = re.compile(r".*(chacoconn|chacovol|nemoSC).*")


def parse_nemo_name(name: str, *, is_sift2: bool = False) -> tuple[Flavor, str] | None:
    """Flavor and owner of a connectome of NeMo, from its file's name; None for other files.

    Parameters
    ----------
    name : str
        ``OWNER_nemo_output_ifod2act_chacoconn_fs86subj_nemoSC_volnorm_mean.mat``; the owner is
        what the lesion mask was called.
    is_sift2 : bool
        Whether streamlines were weighted though the name does not say so (NeMo before 2.1).
    """
    match = NEMO.fullmatch(name)
    if match is None:
        return None
    atlas = match["atlas"].removesuffix("subj")
    weighted = bool(match["sift2"]) or is_sift2
    processing = ("sift2" if weighted else "") + ("volnorm" if match["volnorm"] else "")
    measure = f"SC{match['algorithm']}"
    flavor = Flavor(measure, NEMO_ATLASES.get(atlas, atlas), processing or "count")
    return flavor, match["owner"]


def check_declared(flavor: Flavor, path: Path, key: str = "") -> None:
    """Check that neither a file's name nor its array's says another flavor than the one given.

    Parameters
    ----------
    flavor : Flavor
        What the file is given as.
    path : Path
        Its name may hold ``meas-FCcorrHPF``, or a flavor such as ``FCcorr_fs86_hpf``.
    key : str
        Name of the array in the file.

    Raises
    ------
    FlavorError
        If one of them says another.
    """
    nemo = parse_nemo_name(path.name, is_sift2=flavor.processing.startswith("sift2"))
    if nemo is None and NOT_NEMO_SC.fullmatch(path.name):
        raise FlavorError(
            f"expected {flavor} in {path}; found shares of lost connections, or standard "
            "deviations, of NeMo by its name. Give a file …_nemoSC…_mean.mat."
        )
    named = nemo[0] if nemo else _parse_entities(path) or _find_flavor(path.stem, flavor)
    for where, declared in (
        (f"the array {key}", recognize_flavor(key)),
        (f"the name {path.name}", named),
    ):
        if declared is not None and _differ(declared, flavor):
            raise FlavorError(
                f"expected {flavor} in {path}; found {where}, which says {declared}. Give it as "
                "that flavor, or rename it if it is not."
            )
    group = GROUP_KEYS.get(key.lower())
    if group not in {None, flavor.group}:
        raise FlavorError(
            f"expected {flavor} in {path}; found the array {key}, which says {group}. Give it as "
            "a flavor of that kind, or rename it if it is not."
        )


def _differ(declared: Flavor, flavor: Flavor) -> bool:
    """Whether two flavors are others; an atlas may be called by a name of somebody's own."""
    how = (declared.measure, declared.processing) != (flavor.measure, flavor.processing)
    known = {declared.parcellation, flavor.parcellation} <= set(list_parcellations())
    return how or (known and declared.parcellation != flavor.parcellation)


def _parse_entities(path: Path) -> Flavor | None:
    entities = parse_name(path)
    try:
        return parse_meas(entities["meas"], entities.get("atlas", ""))
    except (FlavorError, KeyError):
        return None


def _find_flavor(stem: str, flavor: Flavor) -> Flavor | None:
    """Flavor whose id stands somewhere in a name, unless the one given does so too."""
    known = {one.name: one for one in list_flavors(list_parcellations())}
    words = stem.split("_")
    ids = ["_".join(words[start : start + 3]) for start in range(len(words) - 2)]
    found = [known[name] for name in ids if name in known]
    return None if not found or flavor in found else found[0]
