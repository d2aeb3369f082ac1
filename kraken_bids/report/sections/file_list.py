"""Files that were written."""

from collections.abc import Mapping

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CALIBRATED, group_path, is_part, is_predicted
from kraken_bids.report.section import FileLink, Section
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup

FILE_WORDS = {
    "relmat": "connectome",
    "timeseries": "region means before cleaning",
    "hpf_timeseries": "region means after cleaning",
    "quality_timeseries": "motion and signal of every volume",
    "dseg": "regions on the grid of the BOLD series",
    "coverage": "coverage of each region",
    "reliability": "how alike connectomes of parts of the data are",
    "latents": "latent vectors",
    "discordance_regions": "where function differs from what structure lets expect",
    "relmats": "predicted connectomes",
    "decode_probabilities": "states of whole volumes",
    "decode_relevance": "relevance of voxels, or regions, for decoded states",
    "krakencal_relmats": "predicted and calibrated connectomes",
    "krakencal_intervals": "prediction intervals of the calibrated connectomes",
}

GROUP_FILES = {
    "adaptation.json": "adaptation of every flavor, to read",
    "adaptation.h5": "the adaptation itself, for --adaptation",
    "sites.tsv": "how well sites are told apart before and after adaptation, and covariates",
    "latents.tsv": "latent vectors of everyone",
    "participants.tsv": "one verdict per participant",
    "predictions.tsv": "one verdict per prediction",
    "metrics.tsv": "metrics of every source and target",
    "calibration.tsv": "calibration and coverage of every source and target",
    "calibrated.tsv": "the same of every calibrated prediction",
    "calibration.h5": "the calibration itself, for --calibrate",
    "discordance.tsv": "where function differs from what structure lets expect",
    "discordance_tests.tsv": "what was tested of that",
    "qc.tsv": "quality of every measured connectome",
    "reliability.tsv": "how alike connectomes of runs and of the first minutes are",
    "qcfc.tsv": "dependence of functional connectomes on head motion",
    "pcorr.tsv": "search for the ridge of the partial correlations; pcorr.json has the choice",
    "outliers.tsv": "distance of everyone's latents from the cohort's",
    "mean_connectomes.h5": "mean measured connectomes",
}
DRAWS = "draws of a flavor for the sessions that lack it, beside the measured ones"


def list_files(written: Written) -> tuple[FileLink, ...]:
    """List the tables, matrices and images of a session."""
    links = []
    for path in written.list_files():
        if path.name.endswith((".tsv", ".h5", ".nii.gz")):
            entities = parse_name(path)
            suffix = entities.get("suffix", "")
            words = FILE_WORDS.get(f"{entities.get('desc')}_{suffix}") or FILE_WORDS.get(suffix)
            words = (_say_made(entities) if suffix == "relmat" else "") + (words or suffix)
            words += _say_part(entities)
            links.append(FileLink(path.relative_to(written.output_dir).as_posix(), words))
    return tuple(links)


def _say_made(entities: Mapping[str, str]) -> str:
    if not is_predicted(entities):
        return "measured "
    is_calibrated = entities.get("desc", "").endswith(CALIBRATED)
    return "predicted and calibrated " if is_calibrated else "predicted "


def _say_part(entities: Mapping[str, str]) -> str:
    return f" of a part of the data ({entities['desc']})" if is_part(entities) else ""


def list_group_files(group: WrittenGroup) -> tuple[FileLink, ...]:
    """List the files of the group."""
    drawn = sorted(group_path(group.output_dir, "").glob("imputed_*.h5"))
    words = GROUP_FILES | {path.name: DRAWS for path in drawn}
    return tuple(
        FileLink(f"group/{name}", text)
        for name, text in words.items()
        if group_path(group.output_dir, name).exists()
    )


SUBJECT, GROUP = (
    Section("files", "Files written", "file_list.html", gather)
    for gather in (list_files, list_group_files)
)
