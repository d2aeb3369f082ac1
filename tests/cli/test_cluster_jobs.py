"""Scripts of an array of jobs, and what they do where a stand-in for the scheduler takes them."""

import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main

SCHEDULERS = {"slurm": "sbatch", "sge": "qsub", "pbs": "qsub", "lsf": "bsub"}
TAKES = """#!/bin/bash
printf '%s\\n' "$@" >> {folder}/asked
[ "$1" = --version ] && {{ echo {version}; exit 0; }}
echo {answer}
"""
ANSWERS = {
    "slurm": "'7;here'",
    "sge": "7.1-2:1",
    "pbs": "'7[].server'",
    "lsf": "'Job <7> is submitted'",
}


@pytest.fixture
def study(raw: Path) -> Path:
    """Make a dataset of five participants, in a folder with blanks and quotes in its name."""
    place = raw.parent / "my 'own' study"
    raw.rename(place)
    people = place / "derivatives/fmriprep"
    for number in range(2, 6):
        shutil.copytree(people / "sub-01", people / f"sub-0{number}", copy_function=shutil.copy)
    return place


def write(study: Path, *words: object) -> Path:
    """Run the command; returns the folder of the scripts."""
    out, folder = study.parent / "out put", study.parent / "jo bs"
    asked = ["cluster", study, out, "--folder", folder, *words]
    done = CliRunner().invoke(main, list(map(str, asked)))
    assert done.exit_code == 0, done.output
    return folder


def fake(folder: Path, name: str, text: str) -> None:
    """Put a command on PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def run(script: Path, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a script with commands of a folder before all others."""
    return subprocess.run(
        ["/bin/bash", str(script)], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | variables,
    )  # fmt: skip


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(
    "words", [(), ("--no-group",), ("--queue", "a b", "--account", "c", "--at-once", 3)]
)
def test_scripts_are_sound(study: Path, scheduler: str, words: tuple[object, ...]) -> None:
    """As bash and shellcheck see them, whatever the folders are called."""
    folder = write(study, "--scheduler", scheduler, *words)
    scripts = sorted(folder.glob("*.sh"))

    assert len(scripts) == 3 - ("--no-group" in words)
    for script in scripts:
        subprocess.run(["/bin/bash", "-n", str(script)], check=True)
        if shutil.which("shellcheck"):
            done = subprocess.run(
                ["shellcheck", str(script)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_array_and_the_group_after_it_are_submitted(study: Path, scheduler: str) -> None:
    """The group waits for the array's end, well or not; paths are one word each."""
    bin_ = study.parent / "bin"
    folder = write(
        study, "--scheduler", scheduler, "--per-task", 2, "--at-once", 2, "--walltime", "01:30:00",
        "--queue", "long", "--account", "lab", "--mem-gb", 6, "--cores", 2,
    )  # fmt: skip
    answer = ANSWERS[scheduler]
    text = TAKES.format(folder=shlex.quote(str(bin_)), version="pbs_version=22", answer=answer)
    fake(bin_, SCHEDULERS[scheduler], text)

    done = run(folder / "submit.sh", bin_)

    asked = (bin_ / "asked").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert "participants: job 7" in done.stdout
    assert any(w in word for word in asked for w in ("1-3%2", "[1-3]%2")) or "-tc" in asked
    after = {
        "slurm": ["--dependency=afterany:7"], "sge": ["-hold_jid", "7"],
        "pbs": ["-W", "depend=afterany:7[].server"], "lsf": ["-w", "ended(7)"],
    }  # fmt: skip
    place = asked.index(after[scheduler][0])
    assert asked[place : place + len(after[scheduler])] == after[scheduler]
    times = {"lsf": "01:30", "slurm": "--time=01:30:00"}.get(scheduler, "01:30:00")
    assert any(times in word for word in asked)
    for words in (
        (["long"], ["lab"]) if scheduler != "slurm" else (["--partition=long"], ["--account=lab"])
    ):
        assert words[0] in asked


def test_torque_is_asked_in_its_own_words(study: Path) -> None:
    """Its arrays have another option, and the group waits for each."""
    bin_ = study.parent / "bin"
    folder = write(study, "--scheduler", "pbs")
    fake(bin_, "qsub", TAKES.format(folder=bin_, version="Version: 6.1", answer="'7[].s'"))

    assert run(folder / "submit.sh", bin_).returncode == 0

    asked = (bin_ / "asked").read_text().splitlines()
    assert "1-5" in asked
    assert "depend=afteranyarray:7[].s" in asked


@pytest.mark.parametrize(
    ("variable", "scheduler"),
    [
        ("SLURM_ARRAY_TASK_ID", "slurm"),
        ("SGE_TASK_ID", "sge"),
        ("PBS_ARRAY_INDEX", "pbs"),
        ("PBS_ARRAYID", "pbs"),
        ("LSB_JOBINDEX", "lsf"),
    ],
)
def test_each_task_computes_its_own_participants(
    study: Path, variable: str, scheduler: str
) -> None:
    """Two at a time, the last one what is left; all together everyone once."""
    venv = study.parent / "venv 1"
    (venv / "bin").mkdir(parents=True)
    fake(venv / "bin", "kraken-bids", "#!/bin/bash\nprintf '<%s>' \"$@\"; echo; exit 1\n")
    folder = write(study, "--scheduler", scheduler, "--per-task", 2, "--venv", venv)

    found = []
    for number in (1, 2, 3):
        done = run(folder / "participant.sh", venv, **{variable: str(number)})
        assert done.returncode == 1, done.stderr
        assert f"<{study}><{study.parent / 'out put'}><participant>" in done.stdout
        found += done.stdout.partition("<--participant-label>")[2].split("\n")[0].split("><")

    assert [word.strip("<>") for word in found] == ["01", "02", "03", "04", "05"]
    assert run(folder / "participant.sh", venv, **{variable: "4"}).returncode == 2


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_jobs_find_the_user_s_downloads_where_the_scheduler_hands_on_no_variables(
    study: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    """SGE and PBS give a job an environment of its own; a prologue may name another folder."""
    venv, data = study.parent / "venv", study.parent / "my 'own' data"
    (venv / "bin").mkdir(parents=True)
    fake(venv / "bin", "kraken-bids", '#!/bin/bash\necho "[$KRAKEN_BIDS_DATA]"\n')
    monkeypatch.setenv("KRAKEN_BIDS_DATA", str(data))
    asked = ("--scheduler", scheduler, "--venv", venv)
    found = []
    for words in ((), ("--job-prologue", "export KRAKEN_BIDS_DATA=/other")):
        script = write(study, *asked, *words) / "participant.sh"
        done = subprocess.run(
            ["/usr/bin/env", "-i", "/bin/bash", str(script)],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        found += [line for line in done.stdout.splitlines() if line.startswith("[")]

    assert found == [f"[{data}]", "[/other]"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--mem-gb", 3, "--cores", 2), "h_vmem=1500M"),
        (("--mem-gb", 1500, "--cores", 1), "h_vmem=1500000M"),
    ],
)
def test_sge_is_asked_for_the_memory_of_each_core_in_plain_digits(
    study: Path, words: tuple[object, ...], expected: str
) -> None:
    """It counts that of a job by core, and reads no exponents."""
    folder = write(study, "--scheduler", "sge", *words)

    assert f"{expected} " in (folder / "submit.sh").read_text()


def test_a_task_that_is_not_done_in_time_goes_back_into_the_queue_and_not_for_ever(
    study: Path,
) -> None:
    """Its command is asked to end before the job is, and the task counts how often."""
    bin_ = study.parent / "bin"
    (bin_ / "bin").mkdir(parents=True)
    slow = "#!/bin/bash\ntrap 'echo asked; exit 143' TERM\nfor i in {1..300}; do sleep 0.1; done\n"
    fake(bin_ / "bin", "kraken-bids", slow)
    fake(bin_, "scontrol", f'#!/bin/bash\necho "$@" >> {bin_}/again\n')
    fake(bin_, "sleep", '#!/bin/bash\n[ "$1" = 60 ] || exec /bin/sleep "$1"\n')
    folder = write(study, "--venv", bin_, "--walltime", "00:00:01")

    variables = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "7"}
    codes = [run(folder / "participant.sh", bin_, **variables).returncode for _ in range(6)]

    assert codes == [124] * 6
    assert (bin_ / "again").read_text() == "requeue 7_2\n" * 4


def test_a_task_that_is_cancelled_ends_its_command_and_is_not_put_back(study: Path) -> None:
    """Whoever cancels a job wants it gone."""
    bin_ = study.parent / "bin"
    (bin_ / "bin").mkdir(parents=True)
    slow = "#!/bin/bash\ntrap 'echo asked; exit 143' TERM\nsleep 1\nkill -TERM $KRAKEN_TASK\n"
    fake(bin_ / "bin", "kraken-bids", slow + "for i in {1..300}; do sleep 0.1; done\n")
    fake(bin_, "scontrol", f"#!/bin/bash\ntouch {bin_}/again\n")
    folder = write(study, "--venv", bin_, "--job-prologue", "export KRAKEN_TASK=$$")

    done = run(folder / "participant.sh", bin_, SLURM_ARRAY_TASK_ID="1")

    assert done.returncode == 143
    assert "asked" in done.stdout
    assert not (bin_ / "again").exists()


def test_options_reach_the_command_through_its_own_file(study: Path) -> None:
    """With what the jobs have of cores; not who, and not where."""
    folder = write(
        study, "--cores", 4, "--", "--atlases", "fs86", "--participant-label", "01", "02",
        "-w", study.parent / "a b", "--output-format", "h5",
    )  # fmt: skip
    options = tomllib.loads((folder / "participant.toml").read_text())

    assert (folder / "participants.txt").read_text() == "01\n02\n"
    assert options["atlases"] == ["fs86"]
    assert options["output_format"] == "h5"
    assert options["n_procs"] == 4
    assert options["work_dir"] == str(study.parent / "a b")
    assert not {"participant_label", "bids_dir", "output_dir", "scheduler"} & set(options)


def test_the_container_sees_every_folder_that_is_named(study: Path, tmp_path: Path) -> None:
    """Those of the dataset, of options, and of the user's own list."""
    image, model = tmp_path / "a.sif", tmp_path / "lambda=0.1" / "mo del"
    image.touch()
    model.mkdir(parents=True)
    bin_ = tmp_path / "bin"
    fake(bin_, "apptainer", "#!/bin/bash\nprintf '<%s>' \"$@\"; echo\n")
    folder = write(
        study, "--image", image, "--bind", "/opt/x:/x", "--", "--model", model,
        "--parcellation", f"fs86={model}/sub-{{subject}}.nii.gz",
    )  # fmt: skip

    done = run(folder / "participant.sh", bin_, SLURM_ARRAY_TASK_ID="1")

    words = done.stdout.partition("<run>")[2].partition("\n")[0]
    for bound in (study, model, "/opt/x:/x"):
        assert f"<--bind><{bound}>" in words
    assert f"<{image}><{study}>" in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--walltime", "90"), "--walltime: expected"),
        (("--image", "none.sif"), "--image: expected an Apptainer image"),
        (("--venv", "none"), "--venv: expected a virtual environment"),
        (("--image", "a,b.sif"), "without a comma or colon"),
        (("--", "--force"), "do with --force all anew"),
        (("--", "--scheduler", "slurm"), "Give --scheduler before --"),
        (("--", "--participant-label", "99"), "expected participants 99"),
        (("--", "--no-such"), "No such option"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_submitted(
    study: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the option's name."""
    bin_ = study.parent / "bin"
    fake(bin_, "sbatch", "#!/bin/bash\nexit 0\n")
    monkeypatch.chdir(bin_)
    Path("a,b.sif").touch()
    done = CliRunner().invoke(
        main, ["cluster", str(study), str(study.parent / "o,ut"), "--submit", *words],
        env={"PATH": f"{bin_}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert done.exit_code in {2, 3}
    assert said in done.output


def test_a_refused_job_ends_the_command_with_the_scheduler_s_words(study: Path) -> None:
    """And says where the script is."""
    bin_ = study.parent / "bin"
    fake(bin_, "sbatch", "#!/bin/bash\necho Invalid account >&2; exit 1\n")
    done = CliRunner().invoke(
        main, ["cluster", str(study), str(study.parent / "out"), "--submit"],
        env={"PATH": f"{bin_}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert done.exit_code == 3
    assert "Invalid account" in done.output
    assert "submit.sh" in done.output


def test_a_prologue_may_use_what_is_not_set(study: Path) -> None:
    """As modules and environments do."""
    bin_ = study.parent / "bin"
    (bin_ / "bin").mkdir(parents=True)
    fake(bin_ / "bin", "kraken-bids", "#!/bin/bash\necho computed\n")
    folder = write(study, "--venv", bin_, "--job-prologue", 'echo "<$NEVER_SET>"')

    done = run(folder / "participant.sh", bin_, SLURM_ARRAY_TASK_ID="1")

    assert done.returncode == 0, done.stderr
    assert "<>" in done.stdout
    assert "computed" in done.stdout


@pytest.mark.parametrize(("code", "is_put_back"), [("slow", True), ("killed", False)])
def test_a_command_that_had_to_be_killed_at_its_time_goes_back_too(
    study: Path, code: str, is_put_back: bool
) -> None:
    """One that is killed before, as for its memory, does not."""
    bin_ = study.parent / "bin"
    (bin_ / "bin").mkdir(parents=True)
    words = {
        "slow": "trap '' TERM\nfor i in {1..300}; do sleep 0.1; done\n",
        "killed": "kill -KILL $$\n",
    }
    fake(bin_ / "bin", "kraken-bids", "#!/bin/bash\n" + words[code])
    fake(bin_, "scontrol", f"#!/bin/bash\ntouch {bin_}/again\n")
    fake(bin_, "sleep", '#!/bin/bash\n[ "$1" = 60 ] || exec /bin/sleep "$1"\n')
    walltime = "00:00:01" if is_put_back else "01:00:00"
    folder = write(study, "--venv", bin_, "--walltime", walltime)
    script = folder / "participant.sh"
    script.write_text(script.read_text().replace("--kill-after=60", "--kill-after=1"))

    done = run(script, bin_, SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_JOB_ID="7")

    assert done.returncode == 137, done.stderr
    assert (bin_ / "again").exists() == is_put_back


def test_a_scheduler_that_is_not_here_is_said_before_anything_is_written(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its command."""
    monkeypatch.setenv("PATH", str(study.parent / "nothing"))
    out = study.parent / "out"
    done = CliRunner().invoke(
        main, ["cluster", str(study), str(out), "--scheduler", "lsf", "--submit"]
    )

    assert done.exit_code == 2
    assert "bsub not found" in done.output
    assert not out.exists()
