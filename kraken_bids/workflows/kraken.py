"""The workflow of one participant: measure in every space, predict, keep."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe

from kraken_bids import __version__
from kraken_bids.exceptions import SettingsError
from kraken_bids.flavors import parse_flavor
from kraken_bids.settings import (
    DEFAULT_SOURCES,
    FunctionalSettings,
    PredictionSettings,
    StructuralSettings,
)
from kraken_bids.workflows.connectomes import (
    SLICE_TIME_REF,
    init_fc_wf,
    init_sc_wf,
    start_workflow,
)
from kraken_bids.workflows.prediction_interfaces import PredictConnectomes, SaveDerivatives

STD_SPACE = "MNI152NLin6Asym"
BOILERPLATE = (
    "Connectomes were predicted with the Krakencoder (doi:10.1038/s41592-025-02706-2) as "
    f"implemented in *kraken_bids* {__version__}.\n"
)
RUNS = ("source_file", "metadata", "confounds_file", "confounds_metadata")
"""Inputs that the runs have in whatever space."""
MEASURED = ("timeseries", "coverage", "dseg", "connectomes", "sidecars")
Part = tuple[pe.Workflow, list[tuple[str, str]]]
"""A workflow that measures, and its inputs: field of the whole, field of its own."""
OUTPUTS = ("timeseries", "coverage", "dseg", "connectomes", "latents", "predictions", "sidecars")


def init_kraken_wf(  # noqa: PLR0913 - fMRIPrep's workflows too take their options one by one
    *,
    model: Path | str = "pretrained",
    atlases_t1: Sequence[str] = ("fs86",),
    atlases_std: Sequence[str] = (),
    std_space: str = STD_SPACE,
    tractograms: Sequence[str] = (),
    adaptation: Path | str = "auto",
    sources: Sequence[str] = DEFAULT_SOURCES,
    targets: Sequence[str] = (),
    functional: FunctionalSettings | None = None,
    structural: StructuralSettings | None = None,
    slice_time_ref: float | None = SLICE_TIME_REF,
    output_dir: Path | str | None = None,
    name: str = "kraken_wf",
) -> pe.Workflow:
    """Build a workflow from fMRIPrep's outputs of one participant to connectomes and predictions.

    Its input fields bear the names of fMRIPrep's own; every list has one item per BOLD run.

    Parameters
    ----------
    model : path or str, optional
        Model folder, published ``.pt``, or ``pretrained``.
    atlases_t1, atlases_std : sequence of str, optional
        Parcellations measured from the BOLD in T1w space and in the template's; those of the
        tractograms are ``atlases_t1``.
    std_space : str, optional
        The template's name.
    tractograms : sequence of {'ifod2', 'sdstream'}, optional
        For each, there are inputs and structural connectomes.
    adaptation : path or str, optional
        ``adaptation.h5`` of a group run; ``none``; ``auto`` is none too, and is said in sidecars.
    sources, targets : sequence of str, optional
        Fusions and flavors to predict from; flavors to predict (all of the model).
    functional, structural : settings, optional
        How runs are cleaned, and the units of structure; the app's defaults without.
    slice_time_ref : float or None, optional
        Where slices of a volume were brought to, as fMRIPrep's ``--slice-time-ref``: a share of
        the time from the first to the last, 0.5 by default. It counts for runs with
        ``SliceTiming`` and without ``StartTime`` in their ``metadata``. None: slices were not
        corrected (``--ignore slicetiming``).
    output_dir : path, optional
        OUTPUT_DIR of ``kraken-bids``: all files are copied there, for its group level.

    Inputs
    ------
    source_file
        Raw BOLD file of each run, for the names of the outputs
    metadata
        BIDS metadata of each run
    confounds_file, confounds_metadata
        As the outputs of fMRIPrep's ``init_bold_confs_wf``
    bold_t1, bold_mask_t1, t1w_tpms
        BOLD and mask of each run, and GM, WM and CSF probabilities, in T1w space
    bold_std, bold_mask_std, std_tpms
        Likewise in the template's space
    <atlas>_dseg
        Label image of each atlas in the space of its BOLD, on any grid
    fsnative2t1w_xfm
        ITK transform; where it is connected, the label images of ``atlases_t1`` lie in
        FreeSurfer's own space (``mri/aparc+aseg.mgz``)
    <algorithm>_tracks, <algorithm>_weights
        Tractogram and SIFT2 weights, where there are ``tractograms``
    <atlas>_dseg_dwi
        Label image of each atlas of ``atlases_t1`` in the space of the tractograms

    Outputs
    -------
    timeseries, coverage, dseg
        Region series before and after cleaning, frames; coverage of the regions; their image
    connectomes
        Measured connectomes
    latents
        Table with a row per source
    predictions
        Predicted connectomes
    sidecars
        The ``.json`` of all of them, which nipype removes where this is not connected

    Raises
    ------
    SettingsError
        If there is nothing to measure, or a choice is none.
    FlavorError
        If a source or target is no flavor.
    """
    settings = PredictionSettings(
        model=_find(model),
        adaptation=_find(adaptation),
        sources=tuple(sources),
        targets=tuple(map(parse_flavor, targets)),
    )
    if not (atlases_t1 or atlases_std):
        raise SettingsError(
            "init_kraken_wf: expected atlases_t1 or atlases_std, the parcellations to measure; "
            "found none. Name at least one, such as atlases_t1=('fs86',)."
        )
    workflow = start_workflow(name, BOILERPLATE)
    how = {"settings": functional, "slice_time_ref": slice_time_ref}
    measured = [
        *_list_function_part("t1", "T1w", atlases_t1, how),
        *_list_function_part("std", std_space, atlases_std, how),
        *_list_structure_parts(atlases_t1, tractograms, structural),
    ]
    _link_inputs(workflow, measured)
    predict = pe.Node(PredictConnectomes(settings=settings), name="predict", mem_gb=3)
    _gather(workflow, [part for part, _ in measured], predict, output_dir)
    return workflow


def _link_inputs(workflow: pe.Workflow, measured: Sequence[Part]) -> None:
    fields = [*RUNS, *(field for _, links in measured for field, _ in links)]
    inputnode = pe.Node(
        niu.IdentityInterface(fields=list(dict.fromkeys(fields))), name="inputnode"
    )
    for part_wf, links in measured:
        workflow.connect([
            (inputnode, part_wf, [(field, f"inputnode.{own}") for field, own in links]),
        ])  # fmt: skip


def _list_function_part(
    short: str, space: str, atlases: Sequence[str], how: Mapping[str, Any]
) -> Iterator[Part]:
    """Yield the workflow of a space, if it has atlases, with its links to the inputs."""
    if atlases:
        fc_wf = init_fc_wf(atlases=atlases, space=space, name=f"fc_{short}_wf", **how)
        yield fc_wf, _list_function_links(atlases, short)


def _list_structure_parts(
    atlases: Sequence[str], tractograms: Sequence[str], settings: StructuralSettings | None
) -> Iterator[Part]:
    """Yield the workflow of each tractogram, with its links to the inputs."""
    for algorithm in tractograms:
        sc_wf = init_sc_wf(
            atlases=atlases, algorithm=algorithm, settings=settings, name=f"{algorithm}_wf"
        )
        yield sc_wf, _list_structure_links(atlases, algorithm)


def _list_function_links(atlases: Sequence[str], space: str) -> list[tuple[str, str]]:
    """List the inputs of the workflow with those of the part that measures one space."""
    tpms = "t1w_tpms" if space == "t1" else "std_tpms"
    links = [(field, field) for field in RUNS]
    links += [(f"bold_{space}", "bold_file"), (f"bold_mask_{space}", "bold_mask"), (tpms, "tpms")]
    links += [(f"{atlas}_dseg", f"{atlas}_dseg") for atlas in atlases]
    return links + ([("fsnative2t1w_xfm", "fsnative2t1w_xfm")] if space == "t1" else [])


def _list_structure_links(atlases: Sequence[str], algorithm: str) -> list[tuple[str, str]]:
    links = [(f"{algorithm}_{kind}", kind) for kind in ("tracks", "weights")]
    return links + [(f"{atlas}_dseg_dwi", f"{atlas}_dseg") for atlas in atlases]


def _gather(
    workflow: pe.Workflow,
    parts: Sequence[pe.Workflow],
    predict: pe.Node,
    output_dir: Path | str | None,
) -> None:
    """Lead what the parts measure to the prediction, to the outputs, and to OUTPUT_DIR."""
    outputnode = pe.Node(niu.IdentityInterface(fields=list(OUTPUTS)), name="outputnode")
    for field in MEASURED:
        merge = _merge(workflow, parts, field, name=f"merge_{field}")
        if field in ("connectomes", "sidecars"):
            workflow.connect(merge, "out", predict, field)
        if field != "sidecars":
            workflow.connect(merge, "out", outputnode, field)
    all_sidecars = pe.Node(niu.Merge(2), name="merge_all_sidecars", run_without_submitting=True)
    workflow.connect([
        (predict, outputnode, [("latents", "latents"), ("predictions", "predictions")]),
        (workflow.get_node("merge_sidecars"), all_sidecars, [("out", "in1")]),
        (predict, all_sidecars, [("sidecars", "in2")]),
        (all_sidecars, outputnode, [("out", "sidecars")]),
    ])  # fmt: skip
    if output_dir is not None:
        _save(workflow, outputnode, Path(output_dir).resolve())


def _merge(
    workflow: pe.Workflow, parts: Sequence[pe.Workflow], field: str, *, name: str
) -> pe.Node:
    """List what those parts that have an output give there."""
    merge = pe.Node(niu.Merge(len(parts)), name=name, run_without_submitting=True)
    for k, part in enumerate(parts, start=1):
        if field in part.get_node("outputnode").inputs.copyable_trait_names():
            workflow.connect(part, f"outputnode.{field}", merge, f"in{k}")
    return merge


def _save(workflow: pe.Workflow, outputnode: pe.Node, output_dir: Path) -> None:
    merge = pe.Node(niu.Merge(len(OUTPUTS)), name="merge_files", run_without_submitting=True)
    save = pe.Node(
        SaveDerivatives(base_directory=str(output_dir)),
        name="ds_kraken",
        run_without_submitting=True,
    )
    for k, field in enumerate(OUTPUTS, start=1):
        workflow.connect(outputnode, field, merge, f"in{k}")
    workflow.connect(merge, "out", save, "in_file")
    workflow.connect(workflow.get_node("inputnode"), "source_file", save, "source_file")


def _find(given: Path | str) -> str:
    """Full path of a file, since nodes run in folders of their own; a word stays."""
    return str(Path(given).resolve()) if Path(given).exists() else str(given)
