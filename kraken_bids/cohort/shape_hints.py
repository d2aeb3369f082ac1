"""What a matrix of the wrong size may be, in words."""

from collections.abc import Sequence

from kraken_bids.parcellations import recognize_parcellation

DEFAULT = "Check the flavor and the parcellation."
OTHER_TABLES = {
    ("fs86", 84): "MRtrix's labelconvert makes with its table fs_default.txt, which has no "
    "VentralDC: measure with a table of all 86 (kraken-tools sc does)",
    ("fs86", 82): "there are without cerebellum and VentralDC: measure with a table of all 86",
    ("fs86", 68): "the Desikan-Killiany cortex alone has: the model takes the deep regions and "
    "the cerebellum too",
}
"""Numbers of regions that other tables of the same segmentation have."""


def explain_shape(shape: Sequence[int], parcellation: str) -> str:
    """Say what an array of the wrong size may be, and what to do; a whole sentence.

    Parameters
    ----------
    shape : sequence of int
        Of the array, subjects included.
    parcellation : str
        What it should be of; nothing can be said of one that the package has no table of.
    """
    known = recognize_parcellation(parcellation)
    if known is None:
        return DEFAULT
    n = known.n_regions
    last = tuple(shape[-2:])
    squares = {
        (n - 1, n): "One row is lacking: was the first one read as a header? "
        "pandas.read_csv(…, header=None) reads such files.",
        (n + 1, n): "One row is too many: is the first one a header, such as 0, 1, 2 …? Write it "
        "without (pandas: header=False, index=False).",
        (n, n + 1): "One column is too many: is the first one an index, such as 0, 1, 2 …? Write "
        "it without (pandas: header=False, index=False).",
        (n + 1, n + 1): "One row and one column are too many: are they a header and an index? "
        "Write it without (pandas: header=False, index=False).",
        (n - 1, n + 1): "One row is lacking and one column is too many: was the first row read as "
        "a header (pandas takes header=None), and an index written (index=False)?",
    }
    if last in squares:
        return squares[last]
    return _explain_width(shape, parcellation, n)


def _explain_width(shape: Sequence[int], parcellation: str, n: int) -> str:
    width = shape[-1] if shape else 0
    n_edges = n * (n - 1) // 2
    widths = {
        n * (n + 1) // 2: "So many are the edges with the diagonal, as nilearn's "
        "sym_matrix_to_vec lists them without discard_diagonal=True: give square matrices.",
        n * n: f"So many are the cells of a flattened square: give [n_subjects, {n}, {n}].",
        n_edges + 1: "One column is too many: is the first one an index? Write it without.",
    }
    if width in widths:
        return widths[width]
    for (name, n_other), words in OTHER_TABLES.items():
        if name == parcellation and width in {n_other, n_other * (n_other - 1) // 2}:
            return f"{n_other} regions are what {words}."
    return DEFAULT
