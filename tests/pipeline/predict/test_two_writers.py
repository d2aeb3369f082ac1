"""Two levels that predict the same session at once: its files end up as those of one of them."""

import threading
from pathlib import Path

import pytest

from kraken_bids.bids.outputs import latents_path, relmat_path, sidecar_path
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecars import hold_session, read_digest
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.io.digests import digest
from kraken_bids.io.texts import read_json
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.check.input_quality import encoded_of, judge_inputs
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.participant import plan_predictions
from kraken_bids.pipeline.predict import session_predictions
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.workers import InlineExecutor
from kraken_bids.settings import DataSettings, PredictionSettings, Settings


def make_plan(output: Path, model: Model, adaptation: str) -> PredictionPlan:
    """Plan to predict the FC of everyone from their fusion, adapted (auto) or not (none)."""
    settings = Settings(
        DataSettings(output / "bids", output),
        prediction=PredictionSettings(
            adaptation=adaptation, sources=("fusion",), targets=model.flavors[:1]
        ),
    )
    return plan_predictions(settings, model, list_members(output))[0]


def predict(plan: PredictionPlan, members: list[Member]) -> None:
    """Predict and write some members here."""
    for _, error in predict_members(plan, members, InlineExecutor()):
        assert error is None


def target_of(output: Path, model: Model, subject: str) -> Path:
    """Path of a predicted connectome."""
    return relmat_path(output, {"sub": subject}, model.flavors[0], source="fusion")


def test_a_mixture_of_two_runs_is_predicted_again(output_dir: Path, model: Model) -> None:
    """Latents of one run beside a matrix of another: each sidecar says whose its file is."""
    members = list(list_members(output_dir)[:1])
    path = target_of(output_dir, model, "01")
    plain = make_plan(output_dir, model, "none")
    predict(plain, members)
    left = {p: p.read_bytes() for p in (path, sidecar_path(path))}
    adapted = make_plan(output_dir, model, "auto")
    predict(adapted, members)
    expected = path.read_bytes()
    for p, content in left.items():
        p.write_bytes(content)
    assert path.read_bytes() != expected

    predict(adapted, members)

    assert path.read_bytes() == expected
    assert read_json(sidecar_path(path))["AdaptationMode"] == "meanfit+meanshift"


def test_the_verdict_of_a_run_is_not_written_on_the_predictions_of_another(
    output_dir: Path, model: Model
) -> None:
    """A participant run that ends after the group has predicted leaves what it says alone."""
    members = list(list_members(output_dir))
    slow, fast = make_plan(output_dir, model, "none"), make_plan(output_dir, model, "auto")
    predict(slow, members)
    predict(fast, members[:1])
    inputs = judge_inputs(encoded_of(slow, members), correlates=True)

    write_judgement(slow, members, Judgement(inputs))

    for subject, is_its_own in (("01", False), ("02", True)):
        latents = read_json(sidecar_path(latents_path(output_dir, subject, None)))
        assert ("Trust" in latents) is is_its_own
        sidecar = read_json(sidecar_path(target_of(output_dir, model, subject)))
        assert ("Trust" in sidecar) is is_its_own


def test_who_writes_a_session_makes_others_wait(output_dir: Path) -> None:
    """The second begins once the first has ended; another session does not wait."""
    (output_dir / "logs").mkdir()
    order = []

    def write() -> None:
        with hold_session(output_dir, "sub-01"):
            order.append("second")

    with hold_session(output_dir, "sub-01"):
        other = threading.Thread(target=write)
        other.start()
        with hold_session(output_dir, "sub-02"):
            other.join(timeout=0.2)
        order.append("first")
    other.join()

    assert order == ["first", "second"]


def test_a_run_that_is_cut_off_leaves_no_digest(
    output_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes next sees that the session's predictions are not all of one run."""
    members = list(list_members(output_dir)[:1])
    predict(make_plan(output_dir, model, "none"), members)
    latents = sidecar_path(latents_path(output_dir, "01", None))
    assert "RunDigest" in read_json(latents)

    def stop(*_words: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kraken_bids.pipeline.predict.session_predictions.write_relmat", stop)
    plan = make_plan(output_dir, model, "auto")
    with pytest.raises(KeyboardInterrupt):
        predict(plan, members)

    assert "RunDigest" not in read_json(latents)


def test_a_session_whose_files_cannot_be_looked_at_stands_for_what_it_has(
    output_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the verdicts of the others would name predictions that were never written."""
    members = list(list_members(output_dir))
    predict(make_plan(output_dir, model, "none"), members)
    look = session_predictions.mark_whole

    def fail_once(paths: list[Path], wanted: str, *, known: str) -> str:
        if "sub-01" in paths[0].name:
            raise OSError("stale file handle")
        return look(paths, wanted, known=known)

    monkeypatch.setattr(session_predictions, "mark_whole", fail_once)
    plan = make_plan(output_dir, model, "auto")
    failed = [m for m, error in predict_members(plan, members, InlineExecutor()) if error]
    write_judgement(plan, members, Judgement(judge_inputs(encoded_of(plan, members))))

    path = latents_path(output_dir, "02", None)
    paths = [latents_path(output_dir, member.subject, None) for member in members]
    assert failed == members[:1]
    assert read_json(sidecar_path(path))["TrustDigest"] == digest(
        "trust", [(p.name, read_digest(p)) for p in paths]
    )
