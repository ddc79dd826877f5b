//! Python's language and library, as authors use them, and how runs end.

use crate::probe::Need::Limit;
use crate::probe::{Asked, Expected, Probe, ProbePlan};

/// The probes of this file.
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
        // From 3.13 on there are marks below the line above.
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
        "A message that code exits with is reported.",
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
        "An abort is reported by its signal.",
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
    Probe::answers(
        "support_course_libraries",
        "A course's python_lib.zip can be imported from.",
        Expected::Answer { globals: "{\"x\":42}", emsg: None },
        Asked::with_library("{}", "from course_lib import double\nx = double(21)"),
    )
    .original("support_upload_file"),
    Probe::works(
        "support_unseeded_randomness",
        "Two runs never draw the same unseeded numbers.",
        "true",
        "",
    )
    .plan(ProbePlan::Planted {
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
];
