"""Unseeded randomness: no two executions of a warm service may share any."""

import json

from cases import Case

# Draws from every generator that an author can reach. Numbers from the operating system
# (os.urandom, secrets, uuid4) can't repeat unless a library has replaced the function.
DRAWS = """
import os
os.environ["MPLCONFIGDIR"] = os.getcwd() + "/tmp"
import email.utils, hashlib, multiprocessing, random, secrets, sqlite3, ssl, statistics, tempfile, uuid
from cryptography.hazmat.primitives.asymmetric import ec
import mpmath, networkx, networkx.algorithms.community.lukes as lukes
import nltk.lm.api, numpy, random2, scipy.stats, sympy, sympy.core.random, sympy.stats

def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:24]

graph = networkx.gnp_random_graph(40, 0.5)
r = {
    "random": random.random(),
    "random.gauss": random.gauss(0, 1),
    "random.Random": random.Random().random(),
    "random.SystemRandom": random.SystemRandom().random(),
    "random2": random2.random(),
    "random2.Random": random2.Random().random(),
    "numpy": float(numpy.random.rand()),
    "numpy.randn": float(numpy.random.randn()),
    "numpy.RandomState": float(numpy.random.RandomState().rand()),
    "numpy.default_rng": float(numpy.random.default_rng().random()),
    "numpy.MT19937": float(numpy.random.Generator(numpy.random.MT19937()).random()),
    "numpy.SeedSequence": str(numpy.random.SeedSequence().entropy),
    "numpy.spawn": numpy.random.mtrand._rand._bit_generator._seed_seq.spawn(1)[0].generate_state(4).tolist(),
    "scipy": float(scipy.stats.norm.rvs()),
    "scipy.Sobol": scipy.stats.qmc.Sobol(8).random(1).tolist(),
    "sympy": sympy.core.random.random(),
    "sympy.rng": sympy.core.random.rng.random(),
    "sympy.Dummy": [sympy.Dummy._base_dummy_index, sympy.Dummy._prng.random()],
    "sympy.stats": float(sympy.stats.sample(sympy.stats.Normal("X", 0, 1))),
    "sympy.randMatrix": str(sympy.randMatrix(9)),
    "networkx": digest(sorted(graph.edges)),
    "networkx.lukes": [lukes.choice(range(10**9)) for _ in range(4)],
    "nltk": nltk.lm.api._random_generator(None).random() if hasattr(nltk.lm.api, "_random_generator") else None,
    "mpmath": str(mpmath.rand()),
    "statistics": statistics.NormalDist().samples(2),
    "email": email.utils.make_msgid(domain="x"),
    "tempfile": next(tempfile._get_candidate_names()) + next(tempfile._get_candidate_names()),
    "multiprocessing": bytes(multiprocessing.current_process().authkey).hex(),
    "sqlite": sqlite3.connect(":memory:").execute("select random(), hex(randomblob(8))").fetchone(),
    "ssl": ssl.RAND_bytes(16).hex(),
    "cryptography": str(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value),
    "uuid1": str(uuid.uuid1()),
    "uuid4": str(uuid.uuid4()),
    "secrets": secrets.token_hex(16),
    "urandom": os.urandom(16).hex(),
}
graph = None
"""

# Looks at every generator in the interpreter, after the libraries are imported.
STATES = """
import os
os.environ["MPLCONFIGDIR"] = os.getcwd() + "/tmp"
import _random, collections, gc, hashlib, random
import email.utils, matplotlib.pyplot, mpmath, networkx, nltk, numpy, random2, scipy.stats, secrets, statistics
import sympy.stats, tempfile, uuid

def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:24]

gc.unfreeze()
objects = [(o, type(o)) for o in gc.get_objects()]
generators = [o for o, t in objects if issubclass(t, _random.Random) and not issubclass(t, random.SystemRandom)]
bits = [o for o, t in objects if issubclass(t, numpy.random.BitGenerator)]
sequences = [o for o, t in objects if issubclass(t, numpy.random.SeedSequence)]
states = [digest(g.getstate()) for g in generators]
states += [digest(sorted(str(v) for v in b.state.items())) for b in bits]
states += [digest((s.entropy, s.spawn_key, s.n_children_spawned)) for s in sequences]
counts = sorted(collections.Counter(states).items())
generators = bits = sequences = objects = states = None
"""


def repeated_draws(sides, count):
    """The names of the draws that two of `count` executions of the warm service had in common."""
    seen, repeated = {}, set()
    for _ in range(count):
        for name, value in result(sides.ask("warm", Case("draws", code=DRAWS)))["r"].items():
            if value is None:
                continue
            text = json.dumps(value)
            if text in seen.setdefault(name, set()):
                repeated.add(name)
            seen[name].add(text)
    assert len(seen) > 25, f"it drew from {sorted(seen)} only"
    return sorted(repeated)


def seeded_states(ask):
    """The states of generators that two executions share. A library has seeded these on purpose."""
    first, second = (dict(result(ask(Case("states", code=STATES)))["counts"]) for _ in range(2))
    return {state: count for state, count in first.items() if second.get(state) == count}


def result(answer):
    globals_text, emsg = answer
    assert emsg is None, emsg
    return json.loads(globals_text)
