"""Connectomes of micapipe: regions by the numbers of its tables, told by the file's name."""

import re
from pathlib import Path

from kraken_bids.exceptions import InputError

NAME = re.compile(
    r"sub-.+_atlas-(?P<atlas>[^_]+)_.*_(?P<part>full|sub|cor)-(?P<what>connectome|edgeLengths"
    r"|weighted_connectome)\.(shape\.gii|txt)"
)
"""GIFTI from version 0.2 on, text before."""
FUNCTIONAL = re.compile(
    r"sub-.+_desc-FC\.shape\.gii|sub-.+_space-(fsnative|conte69).*_desc-FC\.txt", re.IGNORECASE
)
"""Sampled on the surface, whatever the atlas; GIFTI and text likewise."""
DEEP = (10, 11, 12, 13, 17, 18, 26, 49, 50, 51, 52, 53, 54, 58)
CEREBELLUM = range(101, 135)
CORTEX = (*range(1000, 1036), *range(2000, 2036))
"""Of the Desikan-Killiany atlas; 1000 and 2000 are the medial wall."""
ROWS = (*DEEP, *CEREBELLUM, *CORTEX)


def name_micapipe_rows(path: Path) -> tuple[str, ...] | None:
    """Names of the rows of a file that is called as micapipe's are: FreeSurfer's numbers.

    Deep regions come first, then 34 lobules of the cerebellum, then the cortex with a row for the
    medial wall of either side. Rows that the atlas ``fs86`` does not know have numbers that it
    does not know.

    Returns
    -------
    tuple of str or None
        None for files of other names.

    Raises
    ------
    InputError
        If it is of another atlas than ``aparc``, of the cortex alone, functional, or no
        connectome.

    Source
    ------
    micapipe 0.2.3: ``parcellations/lut``, ``functions/connectome_slicer.py``; 0.1.5 likewise.
    """
    if FUNCTIONAL.fullmatch(path.name):
        raise InputError(
            f"expected a connectome of the model's regions in {path}; found a functional one of "
            "micapipe, whose cortex was sampled on the surface: the model knows none such. "
            "Measure it from preprocessed BOLD (kraken-bids with fMRIPrep's, or kraken-tools fc)."
        )
    match = NAME.fullmatch(path.name)
    if match is None:
        return None
    if match["what"] != "connectome":
        raise InputError(
            f"expected a connectome in {path}; found micapipe's {match['what']}, which the model "
            "does not take. Give the file …_full-connectome."
        )
    if match["atlas"] != "aparc" or match["part"] == "cor":
        raise InputError(
            f"expected micapipe's connectome of atlas-aparc with the deep regions "
            f"(…_full-connectome), which holds 82 of the 86 regions of fs86, in {path}; found "
            f"atlas-{match['atlas']}, {match['part']}. Other atlases have other regions: count "
            "the streamlines again, with kraken-tools sc (micapipe keeps them with -keep_tck)."
        )
    return tuple(str(number) for number in ROWS)
