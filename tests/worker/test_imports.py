"""What the preloading of a list of names imports, what it reports, and what it leaves behind."""

import textwrap

from warm_interpreter import PRELOAD, PROLOG, execute, preload_source, warm


def test_a_preload_that_fails_is_reported_by_its_name_and_the_others_are_loaded(tmp_path):
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(3)")
    (tmp_path / "interrupts.py").write_text("raise KeyboardInterrupt")
    (tmp_path / "breaks.py").write_text("import statistics\nraise ValueError('no way')")
    names = ["leaves", "interrupts", "missing.module", "breaks", "", 5, "statistics"]
    run = "import statistics; r = statistics.mean([1, 3])"
    (answer,), failures = execute(tmp_path, [run], names)
    assert failures == [
        ("leaves", "SystemExit: 3"),
        ("interrupts", "KeyboardInterrupt: "),
        ("missing.module", "ModuleNotFoundError: No module named 'missing'"),
        ("breaks", "ValueError: no way"),
        ("", "ValueError: Empty module name"),
        failures[5],
    ]
    assert failures[5][0] == "5" and failures[5][1].startswith("TypeError")
    assert answer == "2"


def test_a_preload_that_leaves_a_thread_running_is_reported_by_its_name(tmp_path):
    stays = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True, name="stays").start()
"""
    message = "RuntimeError: left 1 thread(s) running ['stays']"
    assert preload_source(tmp_path, stays) == [("lib", message)]


def test_a_preload_whose_thread_ends_by_itself_is_no_failure(tmp_path):
    # A thread may have to wait so long for a core on a busy host.
    ends = "import threading, time\nthreading.Thread(target=time.sleep, args=(1,)).start()"
    assert preload_source(tmp_path, ends) == []


def test_a_preload_whose_cancelled_timer_has_not_ended_yet_is_no_failure(tmp_path):
    """matplotlib's font manager does this."""
    cancels = """
import threading, time
class Slow(threading.Timer):
    def run(self):
        super().run()
        time.sleep(1)
timer = Slow(60, print)
timer.start()
timer.cancel()
"""
    assert preload_source(tmp_path, cancels) == []


def test_the_config_directory_of_warming_up_is_gone_and_nothing_names_it(tmp_path):
    code = """
    import matplotlib.pyplot, matplotlib.texmanager, os, gc, sys
    r = [n for n in os.listdir("tmp") if "warm" in n], [
        (m.__name__, k) for m in list(sys.modules.values()) if type(m) is type(os)
        for k, v in list(vars(m).items()) if "codejail-warm-up" in repr(v)
        and m.__name__ != "__main__"]
    """
    assert warm(tmp_path, [PROLOG + textwrap.dedent(code)], PRELOAD) == ["([], [])"]


def test_the_fonts_are_known_before_a_run_asks(tmp_path):
    code = (
        "import time, matplotlib\nt = time.time()\nimport matplotlib.font_manager as f\n"
        "r = time.time() - t < 0.1, bool(f.fontManager.ttflist)"
    )
    assert warm(tmp_path, [PROLOG + code], ["random2", "matplotlib"]) == ["(True, True)"]
