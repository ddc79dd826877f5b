#!/usr/bin/env bash
# Prints a configuration for a developer's machine, and for the tests.
#
#   scripts/dev-config.sh PYTHON BIND [UID_BASE]
#
# PYTHON is the sandbox venv's bin/python. Two services that are root on one host need uid ranges of
# their own: the second would not start with a uid that the first has.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: ${0##*/} PYTHON BIND [UID_BASE]" >&2
    exit 64
fi
python=$1
bind=$2
uid_base=${3:-349590000}

cat <<EOT
bind = "$bind"
enabled = true
workers = 2
EOT

if [ "$(id -u)" -eq 0 ]; then
    # A number needs no account. This one is outside the range of the sandboxes.
    echo "user = \"$((uid_base - 1))\""
fi

cat <<EOT

[python]
bin = "$python"
preload = [
    "numpy",
    "scipy",
    "sympy",
    # What sympy imports only when it simplifies, and matplotlib when it draws.
    "sympy.assumptions.wrapper",
    "sympy.combinatorics",
    "sympy.physics.units",
    "sympy.sets.setexpr",
    "sympy.tensor.tensor",
    "matplotlib",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PpmImagePlugin",
    "networkx",
    "nltk",
    "lxml.etree",
    "cryptography",
    "pyparsing",
    "chem.chemcalc",
    "chem.chemtools",
    "chem.miller",
    "calc",
    "eia",
    "verifiers.draganddrop",
    "loncapa",
    "random2",
    "six",
]

[sandbox]
uid_base = $uid_base
EOT
