"""The random number generators of the warm interpreter, and which of them each sandbox must seed anew.

Children of one worker inherit the state of every generator. An unseeded generator must differ in each
child, as it does in fresh interpreters. A generator that a library seeded on purpose (`RandomState(0)`
at import) must not differ. An object's state doesn't tell whether it was seeded, so seeding is watched
while libraries load:

* `random`, `random2`: `Random.seed` notes its last arguments. No argument, or None, means unseeded.
* numpy: every unseeded SeedSequence asks the operating system for its entropy, and each answer is
  noted. A generator is unseeded if the entropy of its sequence was noted. `RandomState(5)` has such a
  sequence too, but then overwrites the state that came from it; so a RandomState is unseeded only if
  its sequence leads to its state.

A generator of another library, and a state that was set, are not watched and count as unseeded. The
key that multiprocessing draws when it is imported is renewed as well.
"""

import _random
import gc
import sys

_WATCHED_CLASSES = ("random", "random2")
_NUMPY_ENTROPY = "numpy.random.bit_generator"
_KEY_BYTES = 624 * 4
# A RandomState is recognised if its import has used no more of it than this, in blocks of 624
# draws.
_BLOCKS_MAX = 64


class SeedWatch:
    """Notes which module seeds which generator while libraries load. `close()` removes every trace of this
    from the libraries.
    """

    def __init__(self, loading):
        """`loading`: a function that gives the name of the module being loaded."""
        self._loading = loading
        self._undo = []
        self._last = {}
        self._entropy = None
        self.global_seeds = []
        self.stand_ins = []
        for name in (*_WATCHED_CLASSES, _NUMPY_ENTROPY):
            if name in sys.modules:
                self.loaded(name, sys.modules[name])

    def loaded(self, name, module):
        """Must be called with each module as soon as it is loaded."""
        if name in _WATCHED_CLASSES:
            self._watch_seed(module.Random, getattr(module, "_inst", None))
        elif name == _NUMPY_ENTROPY:
            self._watch_entropy(module)

    def created(self):
        """(instance, (args, kwargs) of its last seed, module that was loading when it was first
        seeded).
        """
        return list(self._last.values())

    def is_from_os(self, entropy):
        """Whether numpy took this entropy from the operating system. Some versions of numpy can't be watched;
        there its 128 bits tell such entropy from most seeds.
        """
        if self._entropy is None:
            return isinstance(entropy, int) and entropy.bit_length() > 96
        return isinstance(entropy, int) and entropy in self._entropy

    def is_seeded(self, instance):
        _, (args, kwargs), _ = self._last.get(id(instance), (None, ((), {}), None))
        by_name = [value for name, value in kwargs.items() if name != "version"]
        return any(value is not None for value in (*args[:1], *by_name))

    def close(self):
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def _watch_seed(self, cls, shared):
        original = cls.__dict__["seed"]

        def seed(generator, *args, **kwargs):
            original(generator, *args, **kwargs)
            if not self._undo:  # the watch is closed, but a library kept `rng.seed`
                return
            if generator is shared:
                self.global_seeds.append((self._loading(), args, kwargs))
            else:
                _, _, owner = self._last.get(id(generator), (None, None, self._loading()))
                self._last[id(generator)] = (generator, (args, kwargs), owner)

        cls.seed = seed
        if shared is not None:  # `random.seed` is already a bound method
            module = sys.modules[cls.__module__]
            bound = module.seed
            module.seed = seed.__get__(shared)
            self.stand_ins.append((module.seed, bound))
            self._undo.append(lambda: setattr(module, "seed", bound))
        self._undo.append(lambda: setattr(cls, "seed", original))

    def _watch_entropy(self, module):
        original = getattr(module, "randbits", None)
        if original is None:
            return
        self._entropy = set()

        def randbits(count):
            value = original(count)
            self._entropy.add(value)
            return value

        module.randbits = randbits
        self._undo.append(lambda: setattr(module, "randbits", original))


class RngRegistry:
    """The unseeded generators of this interpreter. It must be made before gc.freeze(), which hides objects
    from the garbage collector.
    """

    def __init__(self, watch):
        generators = _find(_random.Random)
        system = getattr(sys.modules.get("random"), "SystemRandom", ())
        generators = [g for g in generators if not isinstance(g, system) and not watch.is_seeded(g)]
        self._plain = [g for g in generators if _seeds_plainly(type(g))]
        self._calls = [g.seed for g in generators if not _seeds_plainly(type(g))]
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            self._calls += _numpy_calls(numpy_random, watch.is_from_os)
        process = sys.modules.get("multiprocessing.process")
        if process is not None:
            self._calls.append(_renew_key_of(process.current_process()))

    def __len__(self):
        return len(self._plain) + len(self._calls)

    def reseed(self, urandom, seed=_random.Random.seed):
        """Seeds all of them. It calls `seed` of the C class: Random.seed would read 2,500 bytes for each
        generator, but 32 bytes are enough.
        """
        entropy = memoryview(urandom(32 * len(self._plain)))
        for index, generator in enumerate(self._plain):
            seed(generator, int.from_bytes(entropy[32 * index : 32 * index + 32], "little"))
            generator.gauss_next = None
        for call in self._calls:
            call()


def _renew_key_of(process):
    """Renews the key that multiprocessing draws when it is imported. Nothing else seeds it."""
    from os import urandom

    def renew():
        process.authkey = urandom(32)

    return renew


def _find(*classes):
    """Every object of these classes. The collector tracks the objects of each of them (a test checks
    that).
    """
    types = {cls for cls in set(map(type, gc.get_objects())) if issubclass(cls, classes)}
    return [found for found in gc.get_objects() if type(found) in types]


def _seeds_plainly(cls):
    """Whether the generator in C is the whole state. Otherwise seed() of the class must be called."""
    owner = next((base for base in cls.__mro__ if "seed" in vars(base)), None)
    known = getattr(owner, "__module__", None) in ("_random", *_WATCHED_CLASSES)
    return known and owner.__name__ == "Random"


def _numpy_calls(random, is_from_os):
    """Functions that seed numpy's unseeded generators. They do it in place, by `__init__`, because a
    generator has pointers into its bit generator, which has a pointer to its sequence.
    """
    shared = random.mtrand._rand._bit_generator
    unseeded = []
    for bits in _find(random.BitGenerator):
        sequence = _sequence(bits)
        from_os = is_from_os(getattr(sequence, "entropy", None))
        if bits is shared or (from_os and _is_derived(random, bits, sequence)):
            unseeded.append(bits)
    sequences = [found for found in _find(random.SeedSequence) if is_from_os(found.entropy)]
    return [*map(_renew_sequence, sequences), *(_renew_state(random, bits) for bits in unseeded)]


def _renew_sequence(sequence):
    if not sequence.spawn_key:
        return sequence.__init__
    return lambda key=sequence.spawn_key: sequence.__init__(spawn_key=key)


def _sequence(bits):
    return getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)


def _is_derived(random, bits, sequence):
    """Whether the state of a bit generator comes from its sequence, perhaps after some use. It can be false
    only for a Mersenne twister.
    """
    if type(bits) is not random.MT19937:
        return True
    key = bits.state["state"]["key"].tobytes()
    replay = random.RandomState(random.MT19937(sequence))
    for _ in range(_BLOCKS_MAX):
        if replay._bit_generator.state["state"]["key"].tobytes() == key:
            return True
        replay.bytes(_KEY_BYTES)
    return False


def _renew_state(random, bits):
    if type(bits) is random.MT19937:
        return _fill_key(bits) or (lambda: bits._legacy_seeding(None))
    sequence = _sequence(bits)
    return lambda: bits.__init__(sequence)


def _fill_key(bits):
    """A function that writes random bytes over the 624 words of a Mersenne twister. None if the words are
    not where they should be. It takes 7 us; numpy's own ways take 40 to 140.
    """
    try:
        from ctypes import memmove, string_at

        address = bits.ctypes.state_address
        if string_at(address, _KEY_BYTES) != bits.state["state"]["key"].tobytes():
            return None
    except Exception:
        return None
    from os import urandom

    return lambda: memmove(address, urandom(_KEY_BYTES), _KEY_BYTES)
