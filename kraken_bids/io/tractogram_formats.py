"""Formats of tractograms, by the ends of their names."""

from pathlib import Path

FORMATS = (".tck", ".tck.gz", ".trk", ".trk.gz", ".trx", ".npy")
"""Those that :mod:`kraken_bids.io.tractograms` reads."""
OTHER_FORMATS = (".vtk", ".vtp", ".fib", ".dpy", ".tt.gz", ".pdb")
"""Those that are not read."""


def explain_conversion(path: Path) -> str:
    """Say how to get a tractogram of another format into one that is read."""
    name = path.name.lower()
    if name.endswith(".vtk"):
        return f"Convert it with MRtrix: tckconvert {path.name} tracks.tck"
    if name.endswith(".tt.gz"):
        return (
            "Convert it with DSI Studio: dsi_studio --action=ana --source=FIB "
            f"--tract={path.name} --output=tracks.trk.gz"
        )
    if name.endswith(".pdb"):
        return "Write it as .tck or .trk with the software that made it."
    return (
        "Convert it with DIPY: save_tractogram(load_tractogram(…), 'tracks.trk') of "
        "dipy.io.streamline reads .dpy, .fib and .vtp."
    )
