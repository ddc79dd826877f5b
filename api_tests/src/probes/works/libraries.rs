//! Libraries that courses use.

use crate::probe::Need::{Limit, Module};
use crate::probe::Probe;

/// A library that must work if the sandbox's Python has it: its module, the name of the probe, what
/// the probe shows, the value that the code must give `x`, and the code.
macro_rules! library {
    ($module:literal, $name:literal, $shows:literal, $x:literal => $code:literal) => {
        Probe::works($name, $shows, $x, $code).needs(&[Module($module)])
    };
}

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    library! { "numpy", "support_numpy", "numpy works.", "[[7.0,10.0],[15.0,22.0],10]" =>
    "import numpy\na = numpy.array([[1., 2.], [3., 4.]])\n\
     x = [*(a @ a).tolist(), int((numpy.array([1, 5]) * 2)[-1])]" }
    .original("support_numpy"),
    library! { "scipy", "support_scipy", "scipy works.", "[2.0,3.0]" =>
    "import numpy\nfrom scipy import linalg\n\
     x = [round(v, 6) for v in linalg.solve(numpy.array([[1., 1.], [1., -1.]]), [5., -1.]).tolist()]" },
    library! { "sympy", "support_sympy", "sympy works.", "\"2*x\"" =>
    "import sympy\nx = str(sympy.diff(sympy.Symbol('x') ** 2))" },
    library! { "networkx", "support_networkx", "networkx works.", "[0,1,2]" =>
    "import networkx\nx = networkx.shortest_path(networkx.path_graph(3), 0, 2)" }
    .original("support_basic_import"),
    library! { "matplotlib", "support_matplotlib", "matplotlib draws, and writes below tmp.", "\"PNG\"" =>
    "import os\n\
     os.environ['TMPDIR'] = 'tmp'\n\
     import matplotlib.pyplot as plt\n\
     figure, axes = plt.subplots()\n\
     axes.plot([1, 2, 3, 4], [1, 4, 2, 3])\n\
     plt.savefig('tmp/output.png')\n\
     x = open('tmp/output.png', 'rb').read()[1:4].decode()" }
    .needs(&[Module("matplotlib"), Limit("FSIZE")])
    .original("support_matplotlib"),
    library! { "lxml", "support_lxml", "lxml works.", "\"b\"" =>
    "from lxml import etree\nx = etree.fromstring('<a><b/></a>')[0].tag" },
    library! { "pyparsing", "support_pyparsing", "pyparsing works.", "[\"ab\"]" =>
    "import pyparsing\nx = pyparsing.Word(pyparsing.alphas).parse_string('ab').as_list()" },
    library! { "cryptography", "support_cryptography", "cryptography works.", "\"ba7816bf\"" =>
    "from cryptography.hazmat.primitives import hashes\n\
     digest = hashes.Hash(hashes.SHA256())\n\
     digest.update(b'abc')\n\
     x = digest.finalize().hex()[:8]" },
    library! { "calc", "support_the_openedx_calculator", "The calculator of formula problems works.", "5.0" =>
    "import calc\nx = float(calc.evaluator({'a': 2}, {}, 'a + 3'))" },
    library! { "chem", "support_the_openedx_chemistry", "The chemistry of formula problems works.", "true" =>
    "from chem import chemcalc\nx = chemcalc.chemical_equations_equal('H2 + O2 -> H2O2', 'O2 + H2 -> H2O2')" },
    library! { "random2", "support_random2", "Python 2's random numbers, which the LMS seeds problems with, are there.", "true" =>
    "import random2\nx = random2.Random(1).randrange(10 ** 6) == random2.Random(1).randrange(10 ** 6)" },
];
