#!/bin/bash
# dask-jobqueue's SGECluster(cores=4, memory="6GB") asks Grid Engine for one slot and no memory.
#
# One would guess: cores and memory, which every cluster of dask-jobqueue wants and must be given, are
# what its jobs ask of the scheduler, as with SLURM, PBS and LSF. In fact the script for SGE has neither
# "-pe" nor any "-l" of memory: Grid Engine gives the job one slot and puts others beside it, while the
# worker uses four threads and believes in 6 GB. Nothing warns (OARCluster, which cannot ask for memory
# by itself either, does). The page of SGECluster says that memory wants resource_spec; of cores it says
# nothing. On Son of Grid Engine 8.1.9 (Debian 12; 2026-11-30) qstat counted one slot for such a job.
# A way out: resource_spec="h_vmem=1500M" (of each slot) and job_extra_directives=["-pe smp 4"], with the
# name of a parallel environment of the site whose slots are on one host.
#
# Source: dask-jobqueue 0.9.0 (the newest release on 2026-11-30), dask_jobqueue/sge.py: SGEJob.__init__
# reads queue, project, resource_spec and walltime only.
# Exit 0: it still does so. Exit 1: it changed.
set -eu
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
python3 -m venv "$DIR/venv"
"$DIR/venv/bin/pip" install -q dask-jobqueue==0.9.0 dask==2026.8.0 distributed==2026.8.0
cat > "$DIR/run.py" <<'END'
import re
import sys
import warnings

from dask_jobqueue import LSFCluster, PBSCluster, SGECluster, SLURMCluster

ASKS = {
    SLURMCluster: (r"--cpus-per-task=4", r"--mem=6G"),
    PBSCluster: (r"ncpus=4", r"mem=\d+MB"),
    LSFCluster: (r"-n 4", r"-M \d+"),
    SGECluster: (r"-pe \S+ 4", r"(vmem|mem_free|m_mem)\S*="),
}


if __name__ == "__main__":
    found = {}
    for kind, patterns in ASKS.items():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with kind(cores=4, processes=1, memory="6GB", scheduler_options={"dashboard_address": ":0"}) as one:
                script = one.job_script()
        header = script.partition("distributed.cli")[0]
        found[kind] = [bool(re.search(pattern, header)) for pattern in patterns]
        print(f"{kind.__name__}: asks for cores {found[kind][0]}, for memory {found[kind][1]}; warnings: {len(said)}")
        if kind is SGECluster:
            print("\n".join("    " + line for line in script.splitlines() if line.startswith("#$")))
            quiet = not said
    is_as_described = found.pop(SGECluster) == [False, False] and quiet and all(map(all, found.values()))
    print("as described" if is_as_described else "dask-jobqueue changed")
    sys.exit(not is_as_described)
END
cd "$DIR" && venv/bin/python run.py
