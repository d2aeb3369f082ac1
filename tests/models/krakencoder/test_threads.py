"""One thread per multiplication, whoever else computes in the process."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from kraken_bids.models.devices import CPU, Device, run_parts, single_thread

N_THREADS = 3


def count_threads() -> int:
    """Threads of numpy's library; scipy may bring another one."""
    found = [one for one in threadpool_info() if one["user_api"] == "blas"]
    own = [one for one in found if "numpy" in one["filepath"]]
    return int((own or found)[0]["num_threads"])


def test_threads_are_taken_once_and_given_back() -> None:
    """Asked for again inside, there is one; afterwards numpy has what it had."""
    with threadpool_limits(N_THREADS, user_api="blas"):
        with single_thread() as allowed, single_thread() as inner:
            assert (allowed, inner, count_threads()) == (N_THREADS, 1, 1)
        assert count_threads() == N_THREADS


def test_python_threads_at_once_change_no_bit_and_leave_no_limit() -> None:
    """Sixteen that overlap: each answer is that of one alone, and numpy has what it had."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((256, 256), np.float32) for _ in range(2))
    before = count_threads()

    def work(_part: int) -> np.ndarray:
        return a @ b

    expected = run_parts(work, [0], CPU)[0]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _k: run_parts(work, range(5), CPU), range(60)))

    assert all(np.array_equal(product, expected) for found in answers for product in found)
    assert count_threads() == before


def test_one_thread_each_needs_no_waiting() -> None:
    """Where numpy may use one thread, Python threads are inside at the same time."""
    both = threading.Barrier(2, timeout=10)

    def enter(_k: int) -> int:
        with single_thread() as allowed:
            both.wait()
            return allowed

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(enter, range(2))) == [1, 1]


def test_threads_are_given_back_after_an_error() -> None:
    """What goes wrong in one part is raised, and nothing stays limited."""

    def fail(_part: int) -> None:
        raise ValueError("no")

    with threadpool_limits(N_THREADS, user_api="blas"):
        with pytest.raises(ValueError, match="no"):
            run_parts(fail, range(4), CPU)
        assert count_threads() == N_THREADS


def test_who_asks_computes_too() -> None:
    """Two parts that wait for each other are done by two threads, this one among them."""
    both = threading.Barrier(2, timeout=10)

    def meet(_part: int) -> int:
        both.wait()
        return threading.get_ident()

    with threadpool_limits(2, user_api="blas"):
        found = run_parts(meet, range(2), CPU)

    assert len(set(found)) == 2
    assert threading.get_ident() in found


@pytest.mark.parametrize("device", [CPU, Device("cpu", "torch")])
def test_results_come_in_the_order_of_the_parts(device: Device) -> None:
    """However many at once; on a GPU one after the other, in the thread that asks."""
    with threadpool_limits(N_THREADS, user_api="blas"):
        found = run_parts(lambda k: (k, threading.get_ident()), range(50), device)

    assert [k for k, _ in found] == list(range(50))
    if device.is_gpu:
        assert {thread for _, thread in found} == {threading.get_ident()}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_computes_too() -> None:
    """A child has no thread of its parent's pool, and is forked while others compute."""
    a = np.ones((64, 64), np.float32)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with single_thread():
            inside.set()
            leave.wait(10)

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        run_parts(lambda _k: a @ a, range(4), CPU)
        other = pool.submit(hold)
        assert inside.wait(10)
        child = os.fork()
        if not child:  # pragma: no cover - another process
            found = run_parts(lambda _k: a @ a, range(4), CPU)
            os._exit(0 if (found[3] == 64).all() else 1)
        _, status = os.waitpid(child, 0)
        leave.set()
        other.result()
    assert os.waitstatus_to_exitcode(status) == 0
