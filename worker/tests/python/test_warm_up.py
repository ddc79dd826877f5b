"""A warm interpreter against a fresh one: every run must give what it gives where nothing was
preloaded.

Run with pytest. The interpreter under test is the sandbox's: CODEJAIL_SANDBOX_PYTHON, by default
that of /sandbox/venv.
"""

import json
import os
import pathlib
import re
import subprocess
import textwrap

import pytest

PYTHON = os.environ.get("CODEJAIL_SANDBOX_PYTHON", "/sandbox/venv/bin/python")
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src" / "python"
PRELOAD = (
    "numpy scipy scipy.stats scipy.optimize sympy matplotlib matplotlib.pyplot networkx nltk "
    "random2"
    " networkx.algorithms.community.lukes nltk.lm.api tempfile uuid secrets statistics email.utils multiprocessing"
).split()

# Executes runs in forked children, as the worker does; the runs and the answers are JSON.
HARNESS = """
import sys, os
order = eval(sys.stdin.buffer.read())
import six
try:
    import simplejson
except ImportError:
    import json
report = {}
if order["warm"]:
    def first_of(one, other):  # the worker's is no Python, and has no frame
        def call(*args):
            result = one(*args)
            return other(*args) if result is None else result
        call.__code__ = call.__code__.replace(co_filename="<frozen importlib._bootstrap>")
        return call
    warm = {"__name__": "codejail", "first_of": first_of}
    for name in "late_random", "rng", "warm_up":
        with open(order["sources"] + "/" + name + ".py") as source:
            exec(compile(source.read(), "<codejail %s>" % name, "exec"), warm)
    report["failures"] = warm["warm_up"](order["preload"])
    warm["freeze"]()
report["answers"] = []
for code in order["runs"]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if order["warm"]:
            warm["reseed"]()
        scope = {}
        try:
            exec(code, scope)
            answer = repr(scope.get("r"))
        except BaseException as error:
            answer = "%s: %s" % (type(error).__name__, error)
        os.write(writer, answer.encode("utf-8", "replace")[:60000])
        os._exit(0)
    os.close(writer)
    answer = b""
    while True:
        data = os.read(reader, 65536)
        if not data:
            break
        answer += data
    os.close(reader)
    os.waitpid(child, 0)
    report["answers"].append(answer.decode())
os.write(1, repr(report).encode())
"""

PROLOG = """
from __future__ import absolute_import, division
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["TMPDIR"] = os.getcwd() + "/tmp"
os.environ["MPLCONFIGDIR"] = os.environ["TMPDIR"]
import random2 as random_module
import sys
from six.moves import xrange
random = random_module.Random(42)
random.Random = random_module.Random
random.SystemRandom = random_module.SystemRandom
sys.modules['random'] = random
"""
# The same names, but nobody replaces anything.
NO_PROLOG = """
import os, sys
os.environ["MPLCONFIGDIR"] = os.getcwd() + "/tmp"
import random as random_module
import random
random.seed(42)
"""


def cases_of(text):
    """By name: each case is a line `== name` and its code, which leaves its result in `r`."""
    return dict(case.split("\n", 1) for case in ("\n" + text.strip()).split("\n== ")[1:])


CASES = cases_of(
    r"""
== random
import random as q
r = q is random, q.random(), q.randint(1, 100), type(q).__module__
== random.seed
import random
random.seed(9)
r = random.random()
== from random import
exec('from random import Random, SystemRandom, choice')
r = Random.__module__, choice('abcdef')
== from random import a missing name
from random import choices
r = choices.__module__
== reload random
import importlib
importlib.reload(random)
r = random.seed(3), random.random()
== subclass in user code
class R(random.Random): pass
r = R(4).random(), R.__mro__[1].__module__
== pickle
import pickle
r = pickle.loads(pickle.dumps(random_module.Random(3))).random()
== copy
import copy
r = copy.deepcopy(random_module.Random(2)).random()
== isinstance
r = isinstance(random, random.Random), isinstance(random_module.Random(1), random.Random)
== state
s = random.getstate()
a = random.random()
random.setstate(s)
r = a == random.random(), a
== random2
import random2
r = random2 is random_module, random2.Random(5).random()
== no random yet
r = 'numpy' in sys.modules, 'tempfile' in sys.modules, 'sympy' in sys.modules
== tempfile
import tempfile
r = tempfile._Random.__module__, len(next(tempfile._get_candidate_names()))
== tempfile directory
import tempfile
r = tempfile.gettempdir() == os.getcwd() + '/tmp'
== uuid
import uuid
r = len(str(uuid.uuid1())), len(str(uuid.uuid4())), uuid._random_getnode()
== secrets
import secrets
r = len(secrets.token_hex(4)), secrets.randbelow(1), secrets.SystemRandom.__module__
== statistics
import statistics
r = statistics.random is random, statistics.random.random()
== statistics samples
import statistics
r = statistics.NormalDist().samples(2, seed=5)
== email
import email.utils
r = len(email.utils.make_msgid()) > 9, email.utils.random.random()
== shuffle
l = list(range(9))
random.shuffle(l)
r = l
== networkx seed
import networkx as nx
r = sorted(nx.gnp_random_graph(8, .5, seed=1).edges)
== networkx no seed
import networkx as nx
r = sorted(nx.gnp_random_graph(8, .5).edges)
== networkx random as seed
import networkx as nx
r = sorted(nx.gnp_random_graph(8, .5, seed=random).edges)
== networkx choice
import networkx.algorithms.community.lukes as l
r = l.choice([1, 2, 3, 4, 5, 6, 7])
== networkx module
import networkx.utils.misc as m
r = type(m.random).__name__, m.random is random
== networkx isinstance
import networkx.utils.misc as m
r = isinstance(random, m.random.Random)
== networkx subclass
import networkx as nx
c = nx.utils.misc.PythonRandomViaNumpyBits
r = [b.__module__ for b in c.__mro__], c(5).random(), c(5).randint(1, 99)
== networkx create_py_random_state
import networkx as nx
s = nx.utils.create_py_random_state
r = s(None).random(), s(7).random(), type(s(7)).__module__
== networkx spring layout
import networkx as nx
r = str(nx.spring_layout(nx.path_graph(4), seed=3))
== networkx random layout
import networkx as nx
r = str(nx.random_layout(nx.path_graph(4), seed=3))
== networkx barabasi
import networkx as nx
r = sorted(nx.barabasi_albert_graph(9, 2).edges)
== networkx tree
import networkx as nx
r = sorted(nx.random_labeled_tree(9, seed=2).edges)
== sympy seed
from sympy.core.random import seed, randint, choice
seed(5)
r = randint(1, 999), choice(range(99))
== sympy methods
import sympy.core.random as s
s.seed(2)
r = s.random(), s.uniform(1, 2), s.sample(range(9), 3)
== sympy rng
import sympy.core.random as s
r = type(s.rng).__module__, s.shuffle.__self__ is s.rng
== sympy rng methods
import sympy.core.random as s
r = s.rng.choice == s.choice, s._assumptions_shuffle.__func__.__module__
== sympy randMatrix
import sympy
r = str(sympy.randMatrix(3, seed=7))
== sympy randMatrix prng
import sympy
r = str(sympy.randMatrix(3, prng=random))
== sympy randprime
import sympy
sympy.core.random.seed(3)
r = sympy.randprime(1, 10000)
== sympy dup_random
from sympy.polys.densebasic import dup_random
from sympy import ZZ
r = [int(i) for i in dup_random(5, -9, 9, ZZ)]
== sympy _randint
from sympy.core.random import _randint
r = [_randint(4)(1, 100) for _ in range(3)]
== sympy module
import sympy.core.symbol as s
r = s.random is random, s.random.random()
== sympy class attribute
import sympy
r = type(sympy.Dummy._prng).__module__, 10**6 <= sympy.Dummy._base_dummy_index
== sympy algebra
import sympy
x = sympy.Symbol('x')
r = str(sympy.factor(x**4 - 1)), str(sympy.integrate(x**2))
== sympy random point
import sympy
r = str(sympy.Line((0, 0), (1, 1)).random_point(seed=3))
== sympy stats
from sympy.stats import Normal, sample
import numpy
r = float(sample(Normal('X', 0, 1), seed=3))
== sympy permutation
from sympy.combinatorics import Permutation
r = Permutation.random(6)
== nltk shuffle
import nltk.metrics.scores as s
l = list(range(10))
s.shuffle(l)
r = l
== nltk generate
import nltk
p = nltk.MLEProbDist(nltk.FreqDist('abcabcaab'))
r = [p.generate() for _ in 'abc']
== nltk language model
from nltk.lm.api import _random_generator as g
r = g(3).random(), g(random) is random
== nltk probability
import nltk.probability as p
r = p.random is random
== nltk kmeans
import nltk.cluster.kmeans as k
r = k.random is random, k.random.randint(1, 99)
== numpy seed
import numpy as np
np.random.seed(1)
r = float(np.random.rand()), np.random.randint(99)
== numpy RandomState
import numpy as np
r = float(np.random.RandomState(5).rand())
== numpy Generator
import numpy as np
r = float(np.random.default_rng(5).random())
== numpy spawn
import numpy as np
r = np.random.SeedSequence(3).spawn(2)[1].generate_state(2).tolist()
== numpy shared sequence
import numpy as np
r = len(np.random.mtrand._rand._bit_generator._seed_seq.spawn(2))
== numpy secrets
import numpy.random.bit_generator as b
r = type(b.randbits).__name__, b.randbits.__name__
== numpy polynomial
import numpy as np
r = np.polyfit([0, 1, 2], [0, 1, 4], 2).round(6).tolist()
== scipy random_state
import scipy.stats as s
r = s.norm.rvs(size=3, random_state=3).tolist()
== scipy global seed
import scipy.stats as s, numpy as np
np.random.seed(3)
r = s.norm.rvs(size=3).tolist()
== scipy generator
import scipy.stats as s, numpy as np
r = s.poisson.rvs(4, random_state=np.random.default_rng(2))
== scipy first
from scipy.integrate import quad
r = round(quad(lambda x: x, 0, 1)[0], 6)
== scipy anneal
from scipy.optimize import dual_annealing as a
r = a(lambda x: x[0]**2, [(-1, 1)], seed=1, maxiter=5).nfev
== filters of numpy
import numpy, warnings
r = [str(f) for f in warnings.filters]
== filters of sympy
import sympy, warnings
r = [str(f) for f in warnings.filters]
== filters of all
import numpy, scipy.stats, sympy, warnings
r = [str(f) for f in warnings.filters]
== filters of none
import warnings
r = [str(f) for f in warnings.filters]
== environment
import numpy, matplotlib
r = sorted(os.environ.items())
== atexit of none
import atexit
r = atexit._ncallbacks()
== atexit of logging
import logging, atexit
r = atexit._ncallbacks()
== atexit of pyplot
import matplotlib.pyplot, atexit
r = atexit._ncallbacks(), type(atexit.register).__name__
== finalizers
import weakref, atexit
class A: pass
a = A()
n = atexit._ncallbacks()
f = weakref.finalize(a, int)
r = atexit._ncallbacks() - n
== finders
import numpy, sympy
r = [getattr(f, '__name__', type(f).__name__) for f in sys.meta_path]
== pyplot
import matplotlib.pyplot as p
r = p.get_backend(), p.figure().number, len(p.plot([1, 2])), p.close()
== configdir
import matplotlib, matplotlib.style.core as c, matplotlib.texmanager as t
tex = getattr(t.TexManager, '_texcache', 0)
r = matplotlib.get_configdir(), matplotlib.get_cachedir(), c.USER_LIBRARY_PATHS, tex
== module identity
import numpy, scipy.stats, importlib
r = importlib.import_module('numpy') is numpy is sys.modules['numpy']
== spec
import networkx as n
r = n.__spec__.name, type(n.__spec__.loader).__name__, n.__file__, n.__spec__._initializing
== find_spec
import importlib.util
s = importlib.util.find_spec('sympy')
r = type(s.loader).__name__, s.origin
== import of a submodule
import scipy.stats.distributions as d
r = d.__name__, 'scipy' in sys.modules
== from import of a module
from networkx.algorithms import community
r = community.__name__
== import again after del
import statistics as a
del sys.modules['statistics']
import statistics as b
r = a is b
== a module of one's own in front
import types
sys.modules['networkx'] = m = types.ModuleType('networkx')
import networkx
r = networkx is m
== a forbidden module
sys.modules['sympy'] = None
import sympy
== a shadow
open('tmp/statistics.py', 'w').write('x = 1')
sys.path.insert(0, 'tmp')
import statistics
r = statistics.x
os.remove('tmp/statistics.py')
== a finder of one's own
class F:
  def find_spec(n, p, t=None): raise ImportError(n)
sys.meta_path.insert(0, F)
import numpy
== traceback of a failing import
import traceback
open('tmp/broken.py', 'w').write('1/0')
sys.path.insert(0, 'tmp')
try: import broken
except ZeroDivisionError as e: r = [f.name for f in traceback.extract_tb(e.__traceback__)]
== lazy module
import importlib
r = importlib.import_module('scipy').stats.norm.cdf(0)
"""
)


def scratch(path):
    (path / "tmp").mkdir(exist_ok=True)
    (path / "jailed_code").write_text(HARNESS)
    return path


def execute(path, runs, preload=None, environ=()):
    """Answers of the runs, in children of a fresh interpreter or (with a list to preload) of a warm
    one.
    """
    order = {"warm": preload is not None, "preload": preload, "runs": runs, "sources": str(SOURCES)}
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(path),
        "TMPDIR": "tmp",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [PYTHON, "-E", "-B", "jailed_code"],
        cwd=scratch(path),
        input=repr(order).encode(),
        env={**env, **dict(environ)},
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    report = eval(done.stdout)
    return report["answers"], report.get("failures")


def warm(path, runs, preload):
    answers, failures = execute(path, runs, preload)
    assert failures == []
    return answers


def preload_source(path, source, *names):
    """A library of that text, preloaded; gives what the failures are."""
    (path / "lib.py").write_text(textwrap.dedent(source))
    return execute(path, [], ["lib", *names])[1]


@pytest.fixture(scope="module", params=["prolog", "no prolog"])
def answers(request, tmp_path_factory):
    prolog = PROLOG if request.param == "prolog" else NO_PROLOG
    runs = [prolog + code for code in CASES.values()]
    path = tmp_path_factory.mktemp("run")
    fresh, _ = execute(path, runs)
    return dict(zip(CASES, fresh)), dict(zip(CASES, warm(path, runs, PRELOAD)))


@pytest.mark.parametrize("case", CASES)
def test_a_warm_interpreter_answers_as_a_fresh_one(answers, case):
    fresh, warmed = answers
    assert warmed[case] == fresh[case]


GENERATORS = cases_of(
    r"""
== random
import random
r = random.random()
== random.Random
import random
r = random.Random().random()
== numpy
import numpy
r = numpy.random.rand()
== numpy sequence
import numpy
r = numpy.random.mtrand._rand._bit_generator._seed_seq.spawn(1)[0].generate_state(2)
== scipy
import scipy.stats
r = scipy.stats.norm.rvs()
== sympy
import sympy.core.random as s
r = s.rng.random()
== sympy assumptions
import sympy.core.random as s
r = s._assumptions_rng.random()
== sympy Dummy
import sympy
r = sympy.Dummy().dummy_index
== networkx
import networkx
r = networkx.utils.create_py_random_state(None).random()
== networkx numpy
import networkx
r = networkx.utils.create_random_state(None).rand()
== nltk
import nltk.probability as p
r = p.random.random()
== random2
import random2
r = random2.random()
== uuid
import uuid
r = uuid.uuid4().hex, uuid.uuid1().clock_seq
== uuid node
import uuid
uuid._GETTERS = []
r = uuid.getnode()
== tempfile
import tempfile
r = next(tempfile._get_candidate_names())
== secrets
import secrets
r = secrets.token_hex(8)
== multiprocessing
import multiprocessing
r = bytes(multiprocessing.current_process().authkey)
== lib Random
import lib
r = lib.plain.random()
== lib subclass
import lib
r = lib.sub.random()
== lib Generator
import lib
r = lib.generator.random()
== lib Generator's children
import lib
r = lib.generator.bit_generator.seed_seq.spawn(1)[0].generate_state(2)
== lib used Generator
import lib
r = lib.used_generator.random()
== lib RandomState
import lib
r = lib.state.rand()
== lib used RandomState
import lib
r = lib.used_state.rand()
== lib sequence
import lib
r = lib.sequence.spawn(1)[0].generate_state(2)
== lib spawned
import lib
r = lib.spawned.generate_state(2)
== lib MT19937
import lib
r = lib.twister.random_raw()
== lib in a tuple
import lib
r = lib.hidden[0][0]['x'].random()
== lib default
import lib
r = lib.draw()
"""
)

LIBRARY = """
import random, numpy as np
class Sub(random.Random):
    def seed(self, *args):
        self.seeds = getattr(self, "seeds", 0) + 1
        super().seed(*args)
plain, sub = random.Random(), Sub()
generator, used_generator = np.random.default_rng(), np.random.Generator(np.random.Philox())
used_generator.random(1000)
state, used_state = np.random.RandomState(), np.random.RandomState()
used_state.rand(5000)
sequence = np.random.SeedSequence()
spawned = np.random.SeedSequence().spawn(2)[1]
twister = np.random.MT19937()
hidden = ([{"x": random.Random()}],)
def draw(rng=random.Random()): return rng.random()

seeded = random.Random(5)
seeded_later = random.Random(); seeded_later.seed(6)
seeded_sub = Sub(7)
seeded_state = np.random.RandomState(8)
seeded_state_later = np.random.RandomState(); seeded_state_later.seed(9)
seeded_generator = np.random.default_rng(10)
seeded_philox = np.random.Philox(key=11)
seeded_children = np.random.SeedSequence(12).spawn(2)
"""

SEEDED = """
import lib
r = [lib.seeded.random(), lib.seeded_later.random(), lib.seeded_sub.random(),
     lib.seeded_state.rand(),
     lib.seeded_state_later.rand(), lib.seeded_generator.random(), lib.seeded_philox.random_raw(),
     lib.seeded_children[1].generate_state(2).tolist(),
     lib.seeded_generator.bit_generator.seed_seq.entropy]
"""


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    path = tmp_path_factory.mktemp("draws")
    (path / "lib.py").write_text(LIBRARY)
    runs = [code for code in GENERATORS.values() for _ in range(60)]
    values = warm(path, runs, [*PRELOAD, "lib"])
    return {name: values[60 * i : 60 * i + 60] for i, name in enumerate(GENERATORS)}


@pytest.mark.parametrize("generator", GENERATORS)
def test_sixty_children_draw_sixty_different_values(draws, generator):
    assert not any("Error" in value for value in draws[generator]), draws[generator][0]
    assert len(set(draws[generator])) == 60, draws[generator][:3]


def test_generators_that_a_library_seeded_stay_as_they_are_in_a_fresh_interpreter(tmp_path):
    (tmp_path / "lib.py").write_text(LIBRARY)
    fresh, _ = execute(tmp_path, [SEEDED])
    assert "Error" not in fresh[0]
    assert warm(tmp_path, [SEEDED] * 3, ["numpy", "lib"]) == fresh * 3


def test_every_generator_class_is_tracked_by_the_collector(tmp_path):
    """Else the registry, which asks the collector, would miss its objects."""
    code = """
    import random, random2, numpy.random as n
    classes = [random.Random, random2.Random, n.RandomState, n.Generator]
    classes += [n.MT19937, n.PCG64, n.Philox, n.SFC64, n.SeedSequence]
    r = [c for c in classes if not c.__flags__ & 1 << 14]
    """
    assert execute(tmp_path, [textwrap.dedent(code)])[0] == ["[]"]


def test_reseeding_takes_less_than_a_tenth_of_a_millisecond(tmp_path):
    """The aim is 60 us; a machine that is shared may need more."""
    code = (
        "import sys, timeit\nf = sys._getframe(1).f_globals['warm']['reseed']\n"
        "r = min(timeit.repeat(f, number=50)) / 50"
    )
    assert float(warm(tmp_path, [code], PRELOAD)[0]) < 100e-6


LEAKS = """
import sys, os, gc, signal, locale, warnings, decimal, atexit, logging, threading, subprocess
r = {"environ": sorted(os.environ.items()),
     "path": sys.path[1:],
     "argv": sys.argv,
     "hooks": len(sys.path_hooks),
     "finders": len(sys.meta_path),
     "recursion": sys.getrecursionlimit(),
     "switch": sys.getswitchinterval(),
     "gc": (gc.get_threshold(), gc.isenabled()),
     "cwd": os.getcwd(),
     "umask": os.umask(0),
     "atexit": atexit._ncallbacks(),
     "out": (sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__,
             sys.stdin is sys.__stdin__),
     "excepthook": (sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__),
     "unraisable": sys.unraisablehook is sys.__unraisablehook__,
     "threads": threading.excepthook.__module__,
     "signals": [str(signal.getsignal(n)) for n in range(1, 32)],
     "locale": locale.setlocale(locale.LC_ALL),
     "decimal": decimal.getcontext().prec,
     "filters": [str(f) for f in warnings.filters],
     "once": len(warnings.onceregistry),
     "showwarning": warnings.showwarning.__module__,
     "print": print.__module__,
     "import": __import__.__module__,
     "logging": (logging.raiseExceptions, logging.root.level, logging.root.handlers),
     "tempdir": __import__("tempfile").tempdir,
     "timeout": __import__("socket").getdefaulttimeout(),
     "uuid": __import__("uuid")._node,
     "last": [n for n in dir(sys) if n.startswith("last_")],
     "C environment": sorted(subprocess.check_output(["/usr/bin/env"]).split(b"\\n"))}
"""

VANDAL = """
import sys, os, gc, signal, locale, warnings, decimal, atexit, logging, tempfile, threading
import builtins, socket, uuid
import ctypes, builtins
os.environ["LEAK"] = "1"
os.environ["PATH"] += ":/leak"
os.environ.pop("HOME")
ctypes.CDLL(None).setenv(b"C_LEAK", b"1", 1)
sys.path += ["/leak"]
sys.path.insert(0, sys.path.pop(0))
sys.argv.append("leak")
sys.path_hooks.append(print)
sys.meta_path.append(type("F", (), {"find_spec": lambda *a: None})())
sys.setrecursionlimit(5000)
sys.setswitchinterval(1)
gc.set_threshold(1, 2, 3)
gc.disable()
os.umask(7)
sys.stdout = sys.stderr = sys.stdin = open(os.devnull)
sys.excepthook = sys.displayhook = sys.unraisablehook = print
threading.excepthook = print
warnings.showwarning = print
builtins.__import__ = lambda *a, f=__import__, **k: f(*a, **k)
signal.signal(signal.SIGTERM, lambda *a: None)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
locale.setlocale(locale.LC_ALL, "C")
decimal.getcontext().prec = 3
warnings.simplefilter("error")
os.chdir("/")
atexit.register(print)
logging.raiseExceptions = False
logging.basicConfig(level=10)
tempfile.gettempdir()
warnings.onceregistry.update(x=1)
socket.setdefaulttimeout(3)
uuid.getnode()
builtins.print = lambda *a: None
"""


def test_nothing_that_a_preloaded_library_changes_is_seen_by_a_run_that_does_not_import_it(
    tmp_path,
):
    (tmp_path / "lib.py").write_text(VANDAL)
    fresh, _ = execute(tmp_path, [LEAKS])
    assert fresh[0].startswith("{")
    assert warm(tmp_path, [LEAKS], ["lib"]) == fresh


def test_nothing_that_the_usual_libraries_change_is_seen_by_a_run_that_does_not_import_them(
    tmp_path,
):
    fresh, _ = execute(tmp_path, [LEAKS])
    assert warm(tmp_path, [LEAKS], PRELOAD) == fresh


def test_what_a_library_changes_is_seen_by_a_run_that_imports_it(tmp_path):
    """But for the two that late_random.py's table of differences names."""
    (tmp_path / "lib.py").write_text(
        VANDAL.replace("sys.stdin = open(os.devnull)", "sys.stdin = open(os.devnull, 'r+')")
    )
    run = "import lib\n" + LEAKS
    fresh, _ = execute(tmp_path, [run])
    warmed = warm(tmp_path, [run], ["lib"])
    keys = re.findall(r"'(\w[\w ]*)': ", fresh[0])
    differing = {key for key in keys if field(fresh[0], key) != field(warmed[0], key)}
    assert differing == {"once", "C environment"}, (fresh, warmed)


def field(answer, key):
    return re.sub(r"0x[0-9a-f]+", "0x", answer.partition(f"'{key}': ")[2].split(", '")[0])


def test_a_library_that_seeds_random_at_import_does_so_in_the_run_that_imports_it(tmp_path):
    (tmp_path / "lib.py").write_text("import random; random.seed(3)")
    runs = ["import lib, random; r = random.random()", PROLOG + "import lib; r = random.random()"]
    assert warm(tmp_path, runs, ["random2", "lib"]) == execute(tmp_path, runs)[0]
    plain = "import random; r = random.random()"
    assert len(set(warm(tmp_path, [plain] * 3, ["random2", "lib"]))) == 3


def test_libraries_keep_nothing_of_what_stood_in_while_they_were_loaded(tmp_path):
    (tmp_path / "lib.py").write_text("from random import seed\nfrom atexit import register")
    code = """
import lib, random, atexit
r = lib.seed is random.seed, lib.register is atexit.register, random.Random.seed.__qualname__
"""
    assert warm(tmp_path, [code], ["lib"]) == execute(tmp_path, [code])[0]


HOLDER = """
import random, random as alias
from random import Random, choice, randint as between
class Own(Random):
    def twice(self):
        return super().random() * 2
class Owner(Own):
    rng, pick, kind = random.Random(), random.choice, Random
def default(pick=choice, rng=random, *, named=random.randint):
    return pick("abcdefgh"), rng, named(1, 99)
rng, fixed = Random(), Random(4)
draw, fixed_draw = rng.random, fixed.random
"""

HELD = """
import lib
r = (lib.random is random, lib.alias is random, lib.Random.__module__, lib.choice("abcdefgh"),
     lib.between(1, 99), [c.__module__ for c in lib.Owner.__mro__], lib.Own(3).twice(),
     lib.Owner(3).rng.__class__.__module__, lib.Owner.pick("abcdefgh"), lib.Owner.kind.__module__,
     lib.default()[0], lib.default()[1] is random, lib.default()[2], lib.fixed.random(),
     lib.fixed_draw(), lib.draw.__self__ is lib.rng, lib.rng.__class__.__module__,
     isinstance(lib.Own(), random_module.Random), random.random())
"""


def test_every_form_in_which_a_library_keeps_something_of_random_is_bound_anew(tmp_path):
    (tmp_path / "lib.py").write_text(HOLDER)
    runs = [PROLOG + HELD, NO_PROLOG + HELD]
    fresh, _ = execute(tmp_path, runs)
    assert all(answer.startswith("(True") for answer in fresh), fresh
    assert warm(tmp_path, runs, ["random2", "lib"]) == fresh


def test_the_libraries_see_the_real_random_if_it_is_replaced_after_they_were_imported(tmp_path):
    prolog = PROLOG.replace("from __future__ import absolute_import, division", "")
    result = "r = m.random is random, type(m.random).__name__"
    code = f"import sympy.core.symbol as m\n{prolog}\n{result}"
    assert warm(tmp_path, [code], PRELOAD) == execute(tmp_path, [code])[0] == ["(False, 'module')"]


def test_a_replacement_that_lacks_a_name_fails_the_import_as_in_a_fresh_interpreter(tmp_path):
    code = "import sys, types; sys.modules['random'] = types.ModuleType('random')\nimport tempfile"
    fresh, _ = execute(tmp_path, [code])
    assert "cannot import name 'Random'" in fresh[0]
    assert warm(tmp_path, [code], ["tempfile"]) == fresh


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


def test_a_failed_preload_fails_in_the_run_as_in_a_fresh_interpreter(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from package import part\nimport os\nif os.environ.get('NOT'): 1/0\nx = part.x"
    )
    (package / "part.py").write_text("import package\nx = 1\ndef up(): return package.x")
    code = "import os; os.environ.pop('NOT', 0)\nimport package; r = package.part.up()"
    answers, failures = execute(tmp_path, [code], ["package"], {"NOT": "1"})
    assert failures == [("package", "ZeroDivisionError: division by zero")]
    assert answers == ["1"]


def test_a_preload_that_leaves_a_thread_running_is_reported_by_its_name(tmp_path):
    stays = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True, name="stays").start()
"""
    message = "RuntimeError: left 1 thread(s) running ['stays']"
    assert preload_source(tmp_path, stays) == [("lib", message)]


def test_a_preload_whose_thread_ends_by_itself_is_no_failure(tmp_path):
    ends = "import threading, time\nthreading.Thread(target=time.sleep, args=(0.05,)).start()"
    assert preload_source(tmp_path, ends) == []


def test_a_library_that_adds_a_finder_has_it_in_the_runs_that_import_it(tmp_path):
    finder = "class Finder:\n  find_spec = staticmethod(lambda *a: None)\n"
    (tmp_path / "lib.py").write_text(f"import sys\n{finder}sys.meta_path.insert(0, Finder)")
    runs = [
        "import sys; r = len(sys.meta_path)",
        "import sys, lib; r = len(sys.meta_path), sys.meta_path[0] is lib.Finder",
    ]
    assert warm(tmp_path, runs, ["lib"]) == execute(tmp_path, runs)[0]


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


def test_simplejson_takes_the_place_of_json_if_it_is_there(tmp_path):
    (tmp_path / "simplejson.py").write_text("")
    code = "import sys; r = 'simplejson' in sys.modules, 'json' in sys.modules"
    assert warm(tmp_path, [code], []) == execute(tmp_path, [code])[0] == ["(True, False)"]


def test_with_nothing_to_preload_a_run_finds_little_more_than_the_runner_imports(
    tmp_path,
):
    code = "import sys; r = sorted(sys.modules)"
    (fresh,), (warmed,) = execute(tmp_path, [code])[0], warm(tmp_path, [code], [])
    fresh, warmed = json.loads(fresh.replace("'", '"')), json.loads(warmed.replace("'", '"'))
    assert set(fresh) <= set(warmed)
    assert not {"random", "logging", "tempfile", "numpy"} & set(warmed)
