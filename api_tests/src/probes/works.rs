//! What must work: what course authors' code does, and what the LMS relies on.

use crate::probe::Need::{Limit, Module};
use crate::probe::{Plan, Probe};

/// The group.
pub const PROBES: &[Probe] = &[
    Probe::works("support_arithmetic", "Code runs and its globals come back.", "2", "x = 1 + 1"),
    Probe::works(
        "support_input_globals",
        "Input globals are there, and what is not changed comes back.",
        "\"number\"",
        "x = 'number' if isinstance(limits['CPU'], (int, float)) else limits",
    ),
    Probe::works(
        "support_json_values",
        "Values come back as JSON has them.",
        "[null,true,1.5,\"é\",[1,2],{\"3\":4}]",
        "x = [None, True, 1.5, b'\\xc3\\xa9', (1, 2), {3: 4}]",
    ),
    Probe::works(
        "support_values_that_json_cannot_hold",
        "What JSON can't hold is left out, and the rest comes back.",
        "1",
        "x = 1\ny = object()\nz = {1, 2}\nloop = []\nloop.append(loop)",
    ),
    Probe::works(
        "support_unicode",
        "Text outside of ASCII survives in code and result.",
        "\"ünï → 中 😀\"",
        "x = 'ünï → 中 😀'",
    ),
    Probe::works(
        "support_large_results",
        "A result of a megabyte comes back whole.",
        "true",
        "y = 'z' * (1 << 20)\nx = True",
    ),
    Probe::fails(
        "support_exceptions_with_the_original_s_traceback",
        "An exception shows the author's line, and no frame of the service.",
        // From 3.13 on the line above has marks below it.
        "\\n  File \"<string>\", line 1, in <module>\\n\
         ZeroDivisionError: division by zero\\n' with status code: 1",
        "1 / 0",
    ),
    Probe::fails(
        "support_syntax_errors",
        "A syntax error names its line.",
        "File \"<string>\", line 2",
        "y = 1\ny = = 2",
    ),
    Probe::fails(
        "support_recursion_errors",
        "Endless recursion is an exception, not a crash.",
        "RecursionError: maximum recursion depth exceeded",
        "def f(): return f()\nf()",
    ),
    Probe::works(
        "support_deep_recursion",
        "As many calls as in a fresh interpreter can be nested.",
        "0",
        "def f(n): return n and f(n - 1)\nx = f(990)",
    ),
    Probe::fails(
        "support_exit_statuses",
        "A status that code exits with is reported.",
        "with status code: 3",
        "import sys\nsys.exit(3)",
    ),
    Probe::fails(
        "support_messages_at_the_exit",
        "So is a message.",
        "stderr: b'bye\\n' with status code: 1",
        "import sys\nsys.exit('bye')",
    ),
    Probe::fails(
        "support_crashes",
        "A crash of C code is reported by its signal.",
        "with status code: -11",
        "import ctypes\nctypes.string_at(0)",
    ),
    Probe::fails(
        "support_aborts",
        "So is an abort.",
        "with status code: -6",
        "import os\nos.abort()",
    ),
    Probe::fails(
        "support_ends_without_a_result",
        "An end with status 0 and no result is corrupted output.",
        "Sandboxed code produced corrupted stdout.",
        "import os\nos._exit(0)",
    ),
    Probe::works("support_printing", "Printing disturbs nothing.", "1", "print('hello')\nx = 1"),
    Probe::works(
        "support_standard_input_at_its_end",
        "Standard input is at its end.",
        "\"\"",
        "import sys\nx = sys.stdin.read()",
    ),
    Probe::works(
        "support_the_name_of_the_script",
        "Code sees itself run as `jailed_code` in its own directory.",
        "[\"builtins\",[\"jailed_code\"],true]",
        "import os, sys\nx = [__name__, sys.argv, sys.path[0] == os.getcwd()]",
    ),
    Probe::works(
        "support_two_frames",
        "The stack is as deep as in the original.",
        "2",
        "import inspect\nx = len(inspect.stack())",
    ),
    Probe::works(
        "support_a_temporary_directory_by_name",
        "Temporary files go to the run's own tmp.",
        "[\"tmp\",true]",
        "import os, tempfile\nx = [os.environ['TMPDIR'], tempfile.gettempdir() == os.path.abspath('tmp')]",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "support_six",
        "`six` is there.",
        "true",
        "import six\nx = six.PY3",
    ),
    Probe::works(
        "support_course_libraries",
        "A course's python_lib.zip can be imported from.",
        "42",
        "",
    )
    .plan(Plan::WithLibrary("import course_lib\nx = course_lib.double(21)")),
    Probe::works(
        "support_unseeded_randomness",
        "Two runs never draw the same unseeded numbers.",
        "true",
        "",
    )
    .plan(Plan::Planted {
        plant: "import os, random, uuid\nkept = [random.random(), str(uuid.uuid4()), os.urandom(8).hex()]",
        look: "import os, random, uuid\n\
               now = [random.random(), str(uuid.uuid4()), os.urandom(8).hex()]\n\
               x = not set(map(str, now)) & set(map(str, kept))\n\
               kept = [*kept, *now]",
    }),
    Probe::works(
        "support_seeded_randomness",
        "A seed gives what it gives in a fresh interpreter.",
        "0.13436424411240122",
        "import random\nrandom.seed(1)\nx = random.random()",
    ),
    Probe::works(
        "support_a_random_module_of_ones_own",
        "A replaced random module is what later imports get.",
        "4",
        "import sys, types\n\
         mine = types.ModuleType('random')\n\
         mine.random = lambda: 4\n\
         sys.modules['random'] = mine\n\
         import random\n\
         x = random.random()",
    ),
    Probe::works(
        "support_dates",
        "Dates and clocks work.",
        "true",
        "import datetime, time\nx = datetime.datetime.now().year > 2000 and time.monotonic() > 0",
    ),
    Probe::works(
        "support_regular_expressions",
        "Python's library works: expressions, fractions, decimals, statistics.",
        "[\"b\",\"3/4\",\"0.3\",2]",
        "import decimal, fractions, re, statistics\n\
         x = [re.search('[b]', 'abc').group(), str(fractions.Fraction(6, 8)),\n     \
              str(decimal.Decimal('0.1') + decimal.Decimal('0.2')), statistics.mean([1, 2, 3])]",
    ),
    Probe::works(
        "support_databases_in_memory",
        "sqlite works in memory.",
        "3",
        "import sqlite3\nx = sqlite3.connect(':memory:').execute('select 1 + 2').fetchone()[0]",
    ),
    Probe::works(
        "support_hashes_and_compression",
        "hashlib and zlib work.",
        "\"900150983cd24fb0d6963f7d28e17f72\"",
        "import hashlib, zlib\nx = hashlib.md5(zlib.decompress(zlib.compress(b'abc'))).hexdigest()",
    ),
    Probe::works(
        "support_event_loops",
        "asyncio works.",
        "5",
        "import asyncio\n\
         async def answer():\n    \
             await asyncio.sleep(0)\n    \
             return 5\n\
         x = asyncio.run(answer())",
    ),
    Probe::works(
        "support_parsing_of_xml",
        "XML can be parsed.",
        "\"b\"",
        "import xml.etree.ElementTree as tree\nx = tree.fromstring('<a><b/></a>')[0].tag",
    ),
    Probe::works(
        "support_ctypes",
        "C functions can be called.",
        "5",
        "import ctypes\nx = ctypes.CDLL(None).abs(-5)",
    ),
    Probe::works(
        "support_numpy",
        "numpy works.",
        "[[7.0,10.0],[15.0,22.0]]",
        "import numpy\na = numpy.array([[1., 2.], [3., 4.]])\nx = (a @ a).tolist()",
    )
    .needs(&[Module("numpy")]),
    Probe::works(
        "support_scipy",
        "scipy works.",
        "[2.0,3.0]",
        "import numpy\nfrom scipy import linalg\n\
         x = [round(v, 6) for v in linalg.solve(numpy.array([[1., 1.], [1., -1.]]), [5., -1.]).tolist()]",
    )
    .needs(&[Module("scipy")]),
    Probe::works(
        "support_sympy",
        "sympy works.",
        "\"2*x\"",
        "import sympy\nx = str(sympy.diff(sympy.Symbol('x') ** 2))",
    )
    .needs(&[Module("sympy")]),
    Probe::works(
        "support_networkx",
        "networkx works.",
        "[0,1,2]",
        "import networkx\nx = networkx.shortest_path(networkx.path_graph(3), 0, 2)",
    )
    .needs(&[Module("networkx")]),
    Probe::works(
        "support_lxml",
        "lxml works.",
        "\"b\"",
        "from lxml import etree\nx = etree.fromstring('<a><b/></a>')[0].tag",
    )
    .needs(&[Module("lxml")]),
    Probe::works(
        "support_pyparsing",
        "pyparsing works.",
        "[\"ab\"]",
        "import pyparsing\nx = pyparsing.Word(pyparsing.alphas).parse_string('ab').as_list()",
    )
    .needs(&[Module("pyparsing")]),
    Probe::works(
        "support_cryptography",
        "cryptography works.",
        "\"ba7816bf\"",
        "from cryptography.hazmat.primitives import hashes\n\
         digest = hashes.Hash(hashes.SHA256())\n\
         digest.update(b'abc')\n\
         x = digest.finalize().hex()[:8]",
    )
    .needs(&[Module("cryptography")]),
    Probe::works(
        "support_the_openedx_calculator",
        "The calculator of formula problems works.",
        "5.0",
        "import calc\nx = float(calc.evaluator({'a': 2}, {}, 'a + 3'))",
    )
    .needs(&[Module("calc")]),
    Probe::works(
        "support_the_openedx_chemistry",
        "The chemistry of formula problems works.",
        "true",
        "from chem import chemcalc\nx = chemcalc.chemical_equations_equal('H2 + O2 -> H2O2', 'O2 + H2 -> H2O2')",
    )
    .needs(&[Module("chem")]),
    Probe::works(
        "support_random2",
        "Python 2's random numbers, which the LMS seeds problems with, are there.",
        "true",
        "import random2\nx = random2.Random(1).randrange(10 ** 6) == random2.Random(1).randrange(10 ** 6)",
    )
    .needs(&[Module("random2")]),
    Probe::works(
        "allow_threads",
        "Threads can be started and joined.",
        "4",
        "import threading\n\
         results = []\n\
         threads = [threading.Thread(target=results.append, args=(1,)) for _ in range(4)]\n\
         for thread in threads: thread.start()\n\
         for thread in threads: thread.join()\n\
         x = len(results)",
    ),
    Probe::works(
        "allow_pools_of_threads",
        "So can pools of them.",
        "[1,4,9]",
        "from concurrent.futures import ThreadPoolExecutor\n\
         with ThreadPoolExecutor(3) as pool: x = list(pool.map(lambda n: n * n, [1, 2, 3]))",
    ),
    Probe::works(
        "allow_reading_own_files",
        "The run's directory can be listed and its files read.",
        "[[\"jailed_code\",\"tmp\"],true]",
        "import os\nx = [sorted(os.listdir()), len(open('jailed_code').read()) > 0]",
    ),
    Probe::works(
        "allow_directories_below_tmp",
        "Directories and empty files can be made, moved and removed below tmp.",
        "[\"c\"]",
        "import os, shutil\n\
         os.makedirs('tmp/a/d')\n\
         open('tmp/a/b', 'w').close()\n\
         os.rename('tmp/a/b', 'tmp/a/c')\n\
         os.rmdir('tmp/a/d')\n\
         x = os.listdir('tmp/a')\n\
         shutil.rmtree('tmp/a')",
    ),
    Probe::works(
        "allow_links_below_tmp",
        "Links of both kinds can be made below tmp.",
        "[\"file\",true]",
        "import os\n\
         open('tmp/file', 'w').close()\n\
         os.symlink('file', 'tmp/symbolic')\n\
         os.link('tmp/file', 'tmp/hard')\n\
         x = [os.readlink('tmp/symbolic'), os.path.samefile('tmp/symbolic', 'tmp/hard')]",
    ),
    Probe::works(
        "allow_files_up_to_the_limit",
        "Files can be written up to FSIZE, and read back.",
        "[1,\"y\"]",
        "with open('tmp/file', 'w') as file: count = file.write('y')\n\
         x = [count, open('tmp/file').read()]",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_temporary_files",
        "tempfile works.",
        "\"kept\"",
        "import tempfile\n\
         with tempfile.TemporaryFile('w+') as file:\n    \
             file.write('kept')\n    \
             file.seek(0)\n    \
             x = file.read()",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_temporary_directories",
        "So do its directories.",
        "true",
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as path: x = os.path.isdir(path)",
    )
    .needs(&[Limit("FSIZE")]),
    Probe::works(
        "allow_unix_sockets_bound_below_tmp",
        "A unix socket can be made, bound below tmp, and listened on.",
        "\"tmp/socket\"",
        "import socket\n\
         listener = socket.socket(socket.AF_UNIX)\n\
         listener.bind('tmp/socket')\n\
         listener.listen()\n\
         x = listener.getsockname()",
    ),
    Probe::works(
        "allow_pairs_of_sockets",
        "A pair of connected sockets can be written to and read from.",
        "\"ping\"",
        "import socket\na, b = socket.socketpair()\na.send(b'ping')\nx = b.recv(9).decode()",
    ),
    Probe::works(
        "allow_pipes",
        "So can a pipe.",
        "\"ping\"",
        "import os\nreads, writes = os.pipe()\nos.write(writes, b'ping')\nx = os.read(reads, 9).decode()",
    ),
    Probe::works(
        "allow_waiting_for_descriptors",
        "Descriptors can be waited for in each of Python's ways.",
        "[true,true,true]",
        "import os, select\n\
         reads, writes = os.pipe()\n\
         os.write(writes, b'.')\n\
         poll, epoll = select.poll(), select.epoll()\n\
         for each in (poll, epoll): each.register(reads)\n\
         x = [bool(select.select([reads], [], [], 1)[0]), bool(poll.poll(1)), bool(epoll.poll(1))]",
    ),
    Probe::works(
        "allow_signals_to_itself",
        "A run can handle signals that it sends to itself.",
        "[10]",
        "import os, signal\n\
         got = []\n\
         signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))\n\
         os.kill(os.getpid(), signal.SIGUSR1)\n\
         x = got",
    ),
    Probe::works(
        "allow_alarms",
        "A run can set itself an alarm.",
        "1",
        "import signal, time\n\
         got = []\n\
         signal.signal(signal.SIGALRM, lambda *_: got.append(1))\n\
         signal.setitimer(signal.ITIMER_REAL, 0.01)\n\
         end = time.monotonic() + 0.9\n\
         while not got and time.monotonic() < end: time.sleep(0.01)\n\
         x = len(got)",
    ),
    Probe::works(
        "allow_random_bytes",
        "Random bytes of the kernel can be had.",
        "[8,8]",
        "import os, secrets\nx = [len(os.urandom(8)), len(secrets.token_bytes(8))]",
    ),
    Probe::works(
        "allow_mapped_memory",
        "Memory can be mapped, also executable memory as compilers of expressions need it.",
        "4096",
        "import mmap\n\
         x = len(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))",
    ),
    Probe::works(
        "allow_modes_of_own_files",
        "Asking for modes and owners of own files works.",
        "true",
        "import os\nopen('tmp/file', 'w').close()\nx = os.stat('tmp/file').st_uid == os.getuid()",
    ),
    Probe::works(
        "allow_locks_on_own_files",
        "Records of own files can be locked.",
        "1",
        "import fcntl\nwith open('tmp/file', 'w') as file: fcntl.lockf(file, fcntl.LOCK_EX)\nx = 1",
    ),
    Probe::works(
        "allow_the_null_device",
        "/dev/null can be read and written.",
        "[\"\",3]",
        "x = [open('/dev/null').read(), open('/dev/null', 'w').write('abc')]",
    ),
    Probe::works(
        "allow_lower_limits",
        "A run can lower its own limits.",
        "[64,64]",
        "import resource\n\
         resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n\
         x = list(resource.getrlimit(resource.RLIMIT_NOFILE))",
    ),
    Probe::fails(
        "support_errors_of_denied_files",
        "Python shows a denied file as the original does.",
        "PermissionError: [Errno 13] Permission denied: \\'/etc/passwd\\'",
        "open('/etc/passwd')",
    ),
    Probe::fails(
        "support_errors_of_denied_processes",
        "And a denied process.",
        "BlockingIOError: [Errno 11] Resource temporarily unavailable",
        "import os\nos.fork()",
    ),
    Probe::fails(
        "support_errors_of_denied_sockets",
        "And a denied socket.",
        "PermissionError: [Errno 13] Permission denied",
        "import socket\nsocket.socket()",
    ),
    Probe::fails(
        "support_errors_of_names_that_are_not_looked_up",
        "And a name that is not looked up.",
        "gaierror: [Errno -2]",
        "import socket\nsocket.gethostbyname('example.org')",
    ),
    Probe::fails(
        "support_errors_of_requests",
        "And a web page that is not fetched.",
        "<urlopen error [Errno -3] Temporary failure in name resolution>",
        "import urllib.request\nurllib.request.urlopen('http://example.org')",
    ),
];
