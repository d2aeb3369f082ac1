"""Attach kraken_bids to fMRIPrep as a nipype workflow: here, to what fMRIPrep left on disk.

    pip install 'kraken_bids[nipype]'
    python examples/fmriprep_workflow.py derivatives/fmriprep 01 derivatives/kraken_bids

The fields bear fMRIPrep's names, so that inside fMRIPrep the same workflow is connected instead of
given files. In ``init_bold_wf``, for one run (lists with one item per run make one connectome):

    kraken_wf = init_kraken_wf(model="pretrained", output_dir=output_dir)
    kraken_wf.inputs.inputnode.source_file = bold_file
    workflow.connect([
        (inputnode, kraken_wf, [('t1w_tpms', 'inputnode.t1w_tpms')]),
        (bold_anat_wf, kraken_wf, [('outputnode.bold_file', 'inputnode.bold_t1')]),
        (bold_confounds_wf, kraken_wf, [
            ('outputnode.confounds_file', 'inputnode.confounds_file'),
            ('outputnode.confounds_metadata', 'inputnode.confounds_metadata'),
        ]),
    ])

with ``inputnode.fs86_dseg`` from sMRIPrep, or FreeSurfer's ``mri/aparc+aseg.mgz`` together with
``inputnode.fsnative2t1w_xfm``.
"""

import argparse
from pathlib import Path

from nipype.pipeline import engine as pe

from kraken_bids.workflows import init_kraken_wf

TISSUES = ("GM", "WM", "CSF")


def build_workflow(fmriprep: Path, label: str, output: Path, *, model: str) -> pe.Workflow:
    """Workflow of one participant: fs86 from all runs in T1w space."""
    fmriprep = fmriprep.resolve()  # nipype works in folders of its own
    label = label.removeprefix("sub-")
    func = sorted((fmriprep / f"sub-{label}").glob("**/func/*_space-T1w_desc-preproc_bold.nii.gz"))
    anat = next((fmriprep / f"sub-{label}").glob("**/anat/*_desc-preproc_T1w.nii.gz"), None)
    if not func or anat is None:
        raise SystemExit(
            f"expected BOLD and anatomy in T1w space in {fmriprep / f'sub-{label}'}; found none. "
            "Check the label, or rerun fMRIPrep with --output-spaces T1w."
        )
    stem = anat.name.removesuffix("_desc-preproc_T1w.nii.gz")
    workflow = init_kraken_wf(model=model, output_dir=output.resolve())
    workflow.inputs.inputnode.trait_set(
        bold_t1=[str(path) for path in func],
        bold_mask_t1=[str(path).replace("preproc_bold", "brain_mask") for path in func],
        confounds_file=[
            str(path).replace(
                "_space-T1w_desc-preproc_bold.nii.gz", "_desc-confounds_timeseries.tsv"
            )
            for path in func
        ],
        t1w_tpms=[str(anat.with_name(f"{stem}_label-{t}_probseg.nii.gz")) for t in TISSUES],
    )
    dseg = anat.with_name(f"{stem}_desc-aparcaseg_dseg.nii.gz")
    if dseg.exists():
        workflow.inputs.inputnode.fs86_dseg = str(dseg)
    else:  # fMRIPrep 23.2 to 25.1 leave it to FreeSurfer
        mgz = fmriprep / "sourcedata" / "freesurfer" / f"sub-{label}" / "mri" / "aparc+aseg.mgz"
        xfm = anat.with_name(f"{stem}_from-fsnative_to-T1w_mode-image_xfm.txt")
        workflow.inputs.inputnode.trait_set(fs86_dseg=str(mgz), fsnative2t1w_xfm=str(xfm))
    return workflow


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Connectomes of one participant, as a workflow.")
    parser.add_argument("fmriprep", type=Path, help="derivatives of fMRIPrep")
    parser.add_argument("label", help="participant, with or without sub-")
    parser.add_argument("output", type=Path, help="OUTPUT_DIR of kraken-bids, old or new")
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--n-procs", type=int, default=2)
    given = parser.parse_args()
    workflow = build_workflow(given.fmriprep, given.label, given.output, model=given.model)
    workflow.base_dir = str(given.work.resolve())
    workflow.run(plugin="MultiProc", plugin_args={"n_procs": given.n_procs})
