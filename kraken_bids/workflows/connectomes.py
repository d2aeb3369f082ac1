"""Workflows that measure: one space of BOLD, one tractogram."""

from collections.abc import Sequence

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe

from kraken_bids import __version__
from kraken_bids.settings import FunctionalSettings, StructuralSettings
from kraken_bids.workflows.measuring_interfaces import MeasureFunction, MeasureStructure

RUN_FIELDS = (
    "source_file",
    "metadata",
    "bold_file",
    "bold_mask",
    "confounds_file",
    "confounds_metadata",
    "tpms",
    "fsnative2t1w_xfm",
)

SLICE_TIME_REF = 0.5
"""Where fMRIPrep brings slices to by default: the middle of the time that they take."""


def init_fc_wf(
    *,
    atlases: Sequence[str],
    space: str,
    settings: FunctionalSettings | None = None,
    slice_time_ref: float | None = SLICE_TIME_REF,
    name: str = "fc_wf",
) -> pe.Workflow:
    """Build a workflow from the BOLD runs of a participant to functional connectomes.

    Parameters
    ----------
    atlases : sequence of str
        Parcellations that are measured in this space: ``fs86`` …
    space : str
        Of the BOLD, as BIDS names it: ``T1w``, ``MNI152NLin6Asym`` …
    settings : FunctionalSettings, optional
        How runs are cleaned; the app's defaults without.
    slice_time_ref : float or None, optional
        Where slices of a volume were brought to, as fMRIPrep's ``--slice-time-ref``: a share of
        the time from the first to the last, 0.5 by default. It counts for runs with
        ``SliceTiming`` and without ``StartTime`` in their ``metadata``. None: slices were not
        corrected (``--ignore slicetiming``).

    Inputs
    ------
    source_file
        BIDS name of each run, for the names of the outputs (that of ``bold_file``)
    metadata
        BIDS metadata of each run (its sidecar, else its header, for the repetition time)
    bold_file
        Preprocessed BOLD, one file per run
    bold_mask
        Brain mask of each run
    confounds_file
        fMRIPrep's confounds, one table per run
    confounds_metadata
        Metadata of each table, as a dict (the ``.json`` beside it)
    tpms
        Probabilities of GM, WM and CSF, in this order and in the space of the BOLD
    <atlas>_dseg
        Label image of each atlas in the space of the BOLD, on any grid
    fsnative2t1w_xfm
        ITK transform; where it is connected, the label images lie in FreeSurfer's own space
        (``mri/aparc+aseg.mgz``)

    Outputs
    -------
    timeseries
        Region series of each run and atlas, before and after cleaning, and a table of its frames
    coverage
        Coverage of the regions of each atlas
    dseg
        Regions of each atlas on the grid of the BOLD
    connectomes
        Measured connectomes: one per task, atlas and flavor
    sidecars
        The ``.json`` of all of them, which nipype removes where this is not connected
    """
    workflow = start_workflow(
        name,
        f"Functional connectomes of {', '.join(atlases)} were measured from the BOLD in {space} "
        f"space with *kraken_bids* {__version__}.\n",
    )
    inputnode = _make_inputnode((*RUN_FIELDS, *(f"{atlas}_dseg" for atlas in atlases)))
    outputs = ("timeseries", "coverage", "dseg", "connectomes", "sidecars")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    measure = pe.Node(
        MeasureFunction(
            atlases=list(atlases),
            space=space,
            settings=settings or FunctionalSettings(),
            slice_time_ref=slice_time_ref,
        ),
        name="measure",
        mem_gb=0.5,
    )
    workflow.connect([
        (inputnode, measure, [(field, field) for field in RUN_FIELDS]),
        (_merge_dsegs(workflow, inputnode, atlases), measure, [("out", "dsegs")]),
        (measure, outputnode, [(field, field) for field in outputs]),
    ])  # fmt: skip
    return workflow


def init_sc_wf(
    *,
    atlases: Sequence[str],
    algorithm: str,
    settings: StructuralSettings | None = None,
    name: str = "sc_wf",
) -> pe.Workflow:
    """Build a workflow from a tractogram to structural connectomes.

    Parameters
    ----------
    atlases : sequence of str
        Parcellations.
    algorithm : {'ifod2', 'sdstream'}
        How streamlines were tracked.
    settings : StructuralSettings, optional
        Units and search radius; the app's defaults without.

    Inputs
    ------
    source_file
        BIDS name, for the names of the outputs (that of ``tracks``)
    tracks
        Tractogram
    weights
        SIFT2 weights; without, the flavors that need them are left out
    <atlas>_dseg
        Label image of each atlas in the space of the tractogram

    Outputs
    -------
    connectomes
        Measured connectomes, one per atlas and flavor
    sidecars
        The ``.json`` of all of them, which nipype removes where this is not connected
    """
    workflow = start_workflow(
        name,
        f"Structural connectomes of {', '.join(atlases)} were measured from the {algorithm} "
        f"tractogram with *kraken_bids* {__version__}.\n",
    )
    fields = ("source_file", "tracks", "weights")
    inputnode = _make_inputnode((*fields, *(f"{atlas}_dseg" for atlas in atlases)))
    outputs = ("connectomes", "sidecars")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(outputs)), name="outputnode")
    measure = pe.Node(
        MeasureStructure(
            atlases=list(atlases), algorithm=algorithm, settings=settings or StructuralSettings()
        ),
        name="measure",
        mem_gb=1,
    )
    workflow.connect([
        (inputnode, measure, [(field, field) for field in fields]),
        (_merge_dsegs(workflow, inputnode, atlases), measure, [("out", "dsegs")]),
        (measure, outputnode, [(field, field) for field in outputs]),
    ])  # fmt: skip
    return workflow


def start_workflow(name: str, description: str) -> pe.Workflow:
    """Make an empty workflow; inside fMRIPrep, its description joins the methods boilerplate."""
    try:
        from niworkflows.engine.workflows import LiterateWorkflow as Workflow
    except ImportError:
        Workflow = pe.Workflow
    workflow = Workflow(name=name)
    workflow.__desc__ = description
    return workflow


def _make_inputnode(fields: Sequence[str]) -> pe.Node:
    return pe.Node(niu.IdentityInterface(fields=list(fields)), name="inputnode")


def _merge_dsegs(workflow: pe.Workflow, inputnode: pe.Node, atlases: Sequence[str]) -> pe.Node:
    merge = pe.Node(niu.Merge(len(atlases)), name="merge_dsegs", run_without_submitting=True)
    for k, atlas in enumerate(atlases, start=1):
        workflow.connect(inputnode, f"{atlas}_dseg", merge, f"in{k}")
    return merge
