"""kraken_bids as nipype workflows, for those who build on fMRIPrep: the only door to nipype.

>>> from kraken_bids.workflows import init_kraken_wf
>>> workflow = init_kraken_wf(model="/path/to/model")
"""

import os

from kraken_bids.exceptions import DependencyError

# Else nipype asks a server for newer versions of itself whenever an interface is made.
os.environ.setdefault("NO_ET", "1")

try:
    import nipype  # noqa: F401
except ImportError as error:
    raise DependencyError(
        "kraken_bids.workflows: expected nipype; found none. Install it: "
        "pip install 'kraken_bids[nipype]'."
    ) from error

from kraken_bids.workflows.connectomes import init_fc_wf, init_sc_wf
from kraken_bids.workflows.kraken import init_kraken_wf

__all__ = ["init_fc_wf", "init_kraken_wf", "init_sc_wf"]
