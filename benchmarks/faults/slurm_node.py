"""A real SLURM cluster of one node, for as long as a test or a benchmark needs it.

As a script it runs a command on it: ``python benchmarks/faults/slurm_node.py sbatch --wait x.sh``.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "setpriv")
PACKAGES = "slurmctld slurmd slurm-client munge"
N_CPUS = 4
"""Jobs of one core at once, however many cores the machine has."""
MEMORY_MB = 16_000
START_SECONDS = 60
STOP_SECONDS = 10
CGROUP_PLUGINS = ("disabled", "cgroup/v1", "cgroup/v2")
"""What slurmd takes where nothing is to be bounded by control groups differs by version."""
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
EnforcePartLimits=NO
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=2,sched_min_interval=100000
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
ReturnToService=2
MinJobAge=3600
KillWait=5
DefMemPerCPU={memory_per_cpu}
SlurmdParameters=config_overrides
NodeName={node} NodeAddr=127.0.0.1 CPUs={n_cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=short Nodes={node} MaxTime=5 State=UP OverSubscribe=NO
"""


@dataclass(frozen=True)
class SlurmNode:
    """A cluster that runs."""

    folder: Path
    """Its own files; removed with it."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which the commands of SLURM find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *words: str, patience: float = 60) -> str:
        """Run a command of SLURM, or any other, within a time; returns what it says."""
        done = subprocess.run(
            words, env=os.environ | self.environment, capture_output=True, text=True,
            timeout=patience, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def list_jobs(self) -> dict[str, str]:
        """State of every job that waits or runs, by its number."""
        rows = self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(row.split() for row in rows)

    def wait_until_empty(self, patience: float) -> None:
        """Wait until no job waits or runs.

        Raises
        ------
        TimeoutError
            If one still does after that time.
        """
        end = time.monotonic() + patience
        while jobs := self.list_jobs():
            if time.monotonic() > end:
                raise TimeoutError(f"jobs that did not end within {patience:.0f} s: {jobs}")
            time.sleep(0.2)


def explain_absence() -> str:
    """Say why no cluster can be started here; '' where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "SLURM's daemons are started by a superuser of Linux"
    lacking = [name for name in COMMANDS if shutil.which(name) is None]
    return f"{', '.join(lacking)} not installed (Debian: {PACKAGES})" if lacking else ""


@contextlib.contextmanager
def start_slurm(*, n_cpus: int = N_CPUS, memory: int = MEMORY_MB) -> Iterator[SlurmNode]:
    """Start a cluster of one node, and stop it with all its jobs at the end.

    Nothing is written outside a temporary folder, and the ports are free ones. The daemons end
    with this process whatever ends it.

    Parameters
    ----------
    n_cpus : int
        Cores that it believes in.
    memory : int
        Megabytes that it believes in; a job that uses more than it asked for is ended.

    Raises
    ------
    RuntimeError
        If it does not come up.
    """
    # not in a folder of pytest: munge's own user must reach its socket, whose path is bounded
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    node = SlurmNode(folder)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        _write_configuration(folder, n_cpus, memory)
        daemons.append(_start_munge(folder))
        daemons.append(_start(folder, "slurmctld", ["slurmctld", "-D", "-i"], node.environment))
        daemons.append(_start_node(node))
        yield node
    finally:
        with contextlib.suppress(Exception):
            node.run("scancel", "--user=root", "--full", "--signal=KILL", patience=10)
        for daemon in reversed(daemons):
            _stop(daemon)
        _end_processes(node)
        shutil.rmtree(folder, ignore_errors=True)


def _write_configuration(folder: Path, n_cpus: int, memory: int) -> None:
    folder.chmod(0o755)
    for name in ("state", "spool", "log", "munge", "key"):
        (folder / name).mkdir()
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    text = CONFIGURATION.format(
        node=socket.gethostname().partition(".")[0],
        folder=folder,
        controller_port=ports[0],
        node_port=ports[1],
        n_cpus=n_cpus,
        memory=memory,
        memory_per_cpu=memory // n_cpus,
    )
    (folder / "slurm.conf").write_text(text)


def _start_munge(folder: Path) -> "subprocess.Popen[bytes]":
    key = folder / "key" / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (key, key.parent, folder / "munge"):
        shutil.chown(path, "munge", "munge")
    key.parent.chmod(0o700)
    own = folder / "munge"
    daemon = _start(folder, "munged", [
        "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--foreground", "--force",
        f"--key-file={key}", f"--socket={own}/socket", f"--pid-file={own}/pid",
        f"--log-file={own}/log", f"--seed-file={own}/seed",
    ])  # fmt: skip
    _wait_for((own / "socket").exists, folder, "munged")
    return daemon


def _start_node(node: SlurmNode) -> "subprocess.Popen[bytes]":
    for plugin in CGROUP_PLUGINS:
        (node.folder / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\nIgnoreSystemd=yes\n")
        daemon = _start(node.folder, "slurmd", ["slurmd", "-D"], node.environment)
        with contextlib.suppress(RuntimeError):
            _wait_for(lambda daemon=daemon: _is_up(node, daemon), node.folder, "slurmd", daemon)
            return daemon
        _stop(daemon)
    log = node.folder / "log" / "slurmd"
    raise RuntimeError(f"slurmd did not come up: {log.read_text(errors='replace')[-2000:]}")


def _is_up(node: SlurmNode, daemon: "subprocess.Popen[bytes]") -> bool:
    if daemon.poll() is not None:
        return False
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        return node.run("sinfo", "--noheader", "--format=%T").strip() in {"idle", "mixed"}
    return False


def _start(
    folder: Path, name: str, words: Sequence[str], variables: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a daemon that ends with this process, whatever ends it."""
    with (folder / "log" / name).open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *words], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, env=os.environ | dict(variables or {}),
        )  # fmt: skip


def _wait_for(
    is_there: Callable[[], bool],
    folder: Path,
    name: str,
    daemon: "subprocess.Popen[bytes] | None" = None,
) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_there():
        if time.monotonic() > end or (daemon is not None and daemon.poll() is not None):
            said = (folder / "log" / name).read_text(errors="replace")
            raise RuntimeError(f"{name} did not come up: {said[-2000:]}")
        time.sleep(0.1)


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _end_processes(node: SlurmNode) -> None:
    """Kill what jobs have left, told by their environment."""
    wanted = f"SLURM_CONF={node.folder}/slurm.conf".encode()
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (path / "environ").read_bytes().split(b"\0"):
                    os.kill(int(path.name), signal.SIGKILL)


def main() -> None:
    if reason := explain_absence():
        sys.exit(reason)
    with start_slurm() as node:
        done = subprocess.run(sys.argv[1:], env=os.environ | node.environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
