"""Decoding of one BOLD run by a saved decoder, and the page of it."""

from dataclasses import replace
from pathlib import Path

from kraken_bids.models.step_training import find_device
from kraken_bids.pipeline.volume_confounds import choose_cleaning, prepare_confounds
from kraken_bids.pipeline.volumes.decoded_run import decode_run
from kraken_bids.pipeline.volumes.decoders import read_decoder
from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest
from kraken_bids.report.decoded_run_page import draw_decoded_run


def decode_bold(
    decoder: Path,
    request: DecodingRequest,
    *,
    cleaning: str | None = None,
    confounds: Path | None = None,
) -> tuple[list[Path], Path]:
    """Decode a run of preprocessed BOLD in MNI152NLin6Asym.

    Parameters
    ----------
    decoder : Path
        A folder that ``train-volumes`` wrote, or weights of the published decoder.
    cleaning : str, optional
        Strategy in place of the decoder's own.
    confounds : Path, optional
        fMRIPrep's table, where the cleaning regresses any; by default that beside the run.

    Returns
    -------
    list of Path
        Tables and images that were written.
    Path
        The page.

    Raises
    ------
    KrakenBidsError
        As the stages do: device, decoder, confounds, run, a full disk.
    """
    place = find_device(request.device)
    model = read_decoder(decoder)
    model = replace(model, cleaning=choose_cleaning(model, cleaning))
    model.network.to(place)
    prepare = prepare_confounds(model.cleaning, request.bold, confounds)
    written = decode_run(model, replace(request, device=str(place), prepare=prepare))
    return written, draw_decoded_run(written[0])
