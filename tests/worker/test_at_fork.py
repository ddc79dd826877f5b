"""A child of a warm interpreter is as it should be without the fork hooks of the standard library."""

from warm_interpreter import execute, warm

HOOKS = ["threading", "logging", "random", "concurrent.futures.thread", "asyncio"]


def test_the_main_thread_knows_its_own_number(tmp_path):
    code = "import os, threading\nr = threading.main_thread().native_id == threading.get_native_id() == os.getpid()"
    assert warm(tmp_path, [code] * 2, HOOKS) == ["True"] * 2


def test_threads_executors_logging_and_event_loops_work_as_in_a_fresh_interpreter(tmp_path):
    code = """
import asyncio, concurrent.futures, logging, threading
done = []
thread = threading.Thread(target=done.append, args=(1,))
thread.start()
thread.join()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    done += pool.map(abs, [-2, -3])
done.append(asyncio.run(asyncio.sleep(0, 4)))
logging.getLogger("x").setLevel(7)
r = [done, threading.active_count(), logging.getLogger("x").level, threading._active_limbo_lock.acquire(False)]
"""
    assert warm(tmp_path, [code], HOOKS) == execute(tmp_path, [code])[0]


def test_no_hook_of_the_standard_library_runs_in_a_child(tmp_path):
    # threading's hook would make this lock anew.
    (tmp_path / "lib.py").write_text("import threading\nbefore = id(threading._active_limbo_lock)\n")
    code = "import lib, threading\nr = id(threading._active_limbo_lock) == lib.before"
    assert warm(tmp_path, [code], ["lib", *HOOKS]) == ["True"]


def test_hooks_of_other_libraries_run_in_each_child(tmp_path):
    (tmp_path / "lib.py").write_text("import os\nran = []\nos.register_at_fork(after_in_child=lambda: ran.append(1))\n")
    assert warm(tmp_path, ["import lib\nr = lib.ran"] * 2, ["lib"]) == ["[1]"] * 2


def test_register_at_fork_is_the_systems_own_for_a_run_and_for_libraries(tmp_path):
    (tmp_path / "lib.py").write_text("from os import register_at_fork\n")
    code = "import lib, os\nr = [repr(os.register_at_fork), repr(lib.register_at_fork)]"
    assert warm(tmp_path, [code], ["lib"]) == execute(tmp_path, [code])[0]
