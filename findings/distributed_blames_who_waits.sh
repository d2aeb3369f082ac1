#!/bin/bash
# distributed counts the death of a worker against every task that was ASSIGNED to it, also those that
# had not begun; and the first tasks of a function are assigned at once, whatever worker-saturation says.
#
# One would guess: with distributed.scheduler.allowed-failures = 0 ("a task whose worker dies is not
# tried again") and worker-saturation = 1.0 ("no more tasks on a worker than it has threads") the task
# that was running fails, and what waited is computed elsewhere. In fact a task that waited behind it
# fails with KilledWorker too, though it was never begun: tasks are queued in the scheduler only where
# their function has more than twice as many as there are threads, and the earlier ones are out by
# then. On a cluster's job of one thread, one participant that is out of memory fails another one. (With
# the default, 3, the culprit runs four times and takes four workers along.)
# A way out: let each task report its beginning (Worker.log_event), and submit anew what had not begun.
#
# Source: distributed 2026.8.0 (the newest release on 2026-11-28), Scheduler.remove_worker: for every
# task of ws.processing, ts.suspicious += 1; SchedulerState.is_rootish: len(group) > 2 * total_nthreads.
# Exit 0: it still does so. Exit 1: it changed.
set -eu
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
python3 -m venv "$DIR/venv"
"$DIR/venv/bin/pip" install -q dask==2026.8.0 distributed==2026.8.0
cat > "$DIR/run.py" <<'END'
import os
import sys
import time

import dask
from distributed import Client, KilledWorker, LocalCluster


def compute(folder, number):
    open(os.path.join(folder, str(number)), "w").close()
    time.sleep(1)
    if number == 0:
        os._exit(1)  # what the system does to a process that is out of memory
    return number


if __name__ == "__main__":
    folder = os.path.join(sys.argv[1], "begun")
    os.mkdir(folder)
    dask.config.set({
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
    })
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(silence_logs=50, **options) as cluster, Client(cluster) as client:
        tasks = [client.submit(compute, folder, 0, retries=0)]
        time.sleep(0.3)
        tasks += [client.submit(compute, folder, number, retries=0) for number in (1, 2)]
        errors = [task.exception() for task in tasks]
    begun = sorted(os.listdir(folder))
    killed = [number for number, error in enumerate(errors) if isinstance(error, KilledWorker)]
    print("tasks 0, 1, 2 on one worker of one thread; 0 dies with it after a second")
    print("begun:", begun, "- failed with KilledWorker:", killed)
    is_as_described = "1" not in begun and 1 in killed
    print("as described" if is_as_described else "distributed changed")
    sys.exit(not is_as_described)
END
cd "$DIR" && venv/bin/python -W ignore run.py "$DIR"
