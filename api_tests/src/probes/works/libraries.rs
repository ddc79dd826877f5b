//! Libraries that courses use.

use crate::probe::Need::Module;
use crate::probe::Probe;

/// The part.
pub const PROBES: &[Probe] = &[
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
];
