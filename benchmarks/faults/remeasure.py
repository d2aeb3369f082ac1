"""Measured again with other settings, and killed behind one of the matrices."""

import json
import shutil
from pathlib import Path

from faults import compare
from faults.running import Hit, run
from faults.trial import Trial
from faults.world import World

OTHER = ("--denoise", "24p", "--adaptation", "none")
WORDS = ("left aside", "not measured alike")
"""With which the group level names what it leaves out, or what was measured otherwise."""


def make_reference(world: World, folder: Path, before: Path) -> dict[str, bytes]:
    """Run both levels once everything has been measured with the other settings."""
    out = folder / "out"
    shutil.copytree(before, out)
    for words in [world.participant(out, *OTHER), world.group(out, *OTHER[2:])]:
        ended = run(words, folder / "runs")
        assert ended.code == 0, ended.text
    return compare.read_results(out)


def remeasure(world: World, k: int, wanted: tuple[Path, dict[str, bytes]], trial: Trial) -> None:
    """Kill a run with other settings behind its k-th file; look at what the group makes of it."""
    trial.start_from(wanted[0])
    way = trial.rng.choice(("SIGKILL main", "SIGKILL all", "SIGTERM main"))
    words, group = world.participant(trial.out, *OTHER), world.group(trial.out, *OTHER[2:])
    trial.run(words, plan={"within": "_relmat."}, hit=Hit(way, event=("rename", k)))
    said = trial.run(group).text
    if _is_mixed(trial.out) and not any(word in said for word in WORDS):
        trial.found["wrong"].append(f"a mixture without a word: {said}")
    trial.found["wrong"] += compare.list_contradictions(trial.out)
    trial.run_whole(words)
    trial.run_whole(group)
    trial.compare(wanted[1])
    trial.end("measured otherwise, killed")


def _is_mixed(out: Path) -> bool:
    """Whether functional connectomes were cleaned in two ways, or one says not whence it is."""
    sidecars = [
        json.loads(path.read_text())
        for path in out.glob("sub-*/func/*_meas-*_relmat.json")
        if "kraken_" not in path.name
    ]
    cleaned = {str(sidecar.get("Denoising")) for sidecar in sidecars}
    return len(cleaned) > 1 or any("RunDigest" not in sidecar for sidecar in sidecars)
