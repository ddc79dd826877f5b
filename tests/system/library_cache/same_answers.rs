//! Every answer is the same with bytecode and without it.

use super::{OFF, WATCH, metric, value_of_x, warm};
use codejail_harness::python::zip;
use codejail_harness::{Run, Service};
use serde_json::json;

/// Every kind of file that a library can hold.
pub const FILES: &[(&str, &[u8])] = &[
    (
        "pkg/__init__.py",
        b"from .units import km\nNAME = __name__\n",
    ),
    (
        "pkg/units.py",
        b"def km(m):\n    return m / 1000\n\ndef fail():\n    raise ValueError('deep')\n",
    ),
    ("pkg/deep/__init__.py", b""),
    ("pkg/deep/er.py", b"from ..units import km, fail\n"),
    ("pkg/table.csv", b"a,b\r\n1,2\r\n"),
    ("space/", b""),
    ("space/part.py", b"x = __package__\n"),
    ("star.py", b"__all__ = ['a', '_b']\na = 1\n_b = 2\nc = 3\n"),
    (
        "crlf.py",
        b"def f():\r\n    raise KeyError('crlf')\r\n\r\nx = '''a\r\nb'''\r\n",
    ),
    ("cr.py", b"x = 1\ry = 2\r"),
    ("latin.py", b"# coding: latin-1\nx = '\xe9'\n"),
    ("bom.py", b"\xef\xbb\xbfx = 'bom'\n"),
    ("not_utf8.py", b"x = '\xe9'\n"),
    ("syntax.py", b"x = 1\ndef f(:\n    pass\n"),
    ("tabs.py", b"if 1:\n\tx = 1\n        y = 2\n"),
    ("null.py", b"x = 1\0\n"),
    ("nested.py", b"x = ((((((((((((((((((((1))))))))))))))))))))\n"),
    (
        "warns.py",
        b"x = 1\nif x is 1:\n    pass\ny = '\\d'\nassert (x, 'always')\n",
    ),
    ("raises.py", b"x = 1\nraise ValueError('while importing')\n"),
    (
        "doc.py",
        b"'''Of the module.'''\nclass C:\n    '''Of a class.'''\n    a = lambda self: [i for i in (1, 2) if i in {1, 2}]\n\
          def outer(n: int = 5, *, k=(1, 2.5, None, 'a b')) -> str:\n    def inner():\n        nonlocal n\n        n += 1\n        \
          return n\n    return inner\nmany = 'not an identifier' , b'bytes', 2**100, 1j, ..., -0.0\n",
    ),
    ("compiled.pyc", b"not a module"),
];

/// What a run can do with the library: each program sets `x` or fails.
const PROGRAMS: &[&str] = &[
    "import pkg\nx = [pkg.km(1500), pkg.NAME, pkg.__file__, pkg.__path__, sorted(vars(pkg))]",
    "import pkg.deep.er as er\n\
     x = [er.__file__, er.__package__, er.__spec__.origin, er.__spec__.cached, type(er.__loader__).__name__, er.km.__code__.co_filename]",
    "import pkg.deep.er\npkg.deep.er.fail()",
    "import pkg.units, traceback\ntry:\n    pkg.units.fail()\nexcept ValueError:\n    x = traceback.format_exc()",
    "import space.part\nx = [space.part.x, type(space.__path__).__name__]",
    "from star import *\nx = [a, _b, 'c' in globals()]",
    "import crlf\nx = crlf.x\ncrlf.f()",
    "import cr, latin, bom, nested\nx = [cr.x, cr.y, latin.x, bom.x, nested.x]",
    "import not_utf8",
    "import syntax",
    "import tabs",
    "import null",
    "import raises",
    "import compiled",
    "import nowhere",
    "import pkg.nowhere",
    "import warns, sys\nsys.exit('warnings are above')",
    "import warns, sys\nx = str(getattr(warns, '__warningregistry__', None))",
    "import warnings\nwarnings.simplefilter('error')\nimport warns",
    "import warnings\nwarnings.simplefilter('error')\nimport pkg.deep.er\nx = 1",
    "import doc\nn = doc.outer()\n\
     x = [doc.__doc__, doc.C.__doc__, doc.C().a(), n(), n(), str(doc.many), doc.outer.__kwdefaults__, str(doc.outer.__annotations__), doc.outer.__code__.co_firstlineno]",
    "import inspect, pkg.units\nx = [inspect.getsource(pkg.units.km), inspect.getsourcefile(pkg.units), inspect.getsourcelines(pkg.units.fail)]",
    "import importlib, pkg.units\nold = pkg.units.km\nx = [importlib.reload(pkg.units).km(1), old is pkg.units.km]",
    "import pkgutil\nx = [pkgutil.get_data('pkg', 'table.csv').decode(), [m.name for m in pkgutil.iter_modules(['python_lib.zip'])]]",
    "import zipfile\nx = sorted(zipfile.ZipFile('python_lib.zip').namelist())",
    "import zipimport\nz = zipimport.zipimporter('python_lib.zip')\nc = z.get_code('doc')\n\
     x = [c.co_filename, c.co_names, str(c.co_consts[-5:]), c.co_flags, c.co_code.hex(), z.get_source('crlf'), z.get_filename('pkg')]\nz = c = None",
    "import runpy\nd = runpy.run_module('star')\nx = [d['__file__'], d['__name__'], d['c']]\nd = None",
    "import os, sys\nsys.path[:0] = [os.path.abspath('python_lib.zip')]\nimport pkg.units\nx = pkg.units.__file__.count('/')\npkg.units.fail()",
    "import builtins\nreal, x = builtins.compile, []\n\
     def own(*args, **kwargs):\n    x.append([args[1], args[2], kwargs, len(args[0])])\n    return real(*args, **kwargs)\n\
     builtins.compile = own\nimport pkg.deep.er, crlf",
    "import builtins\nbuiltins.compile = lambda *a, **k: 1 / 0\nimport pkg",
    "import marshal, _imp\nmarshal.loads = _imp.source_hash = None\nimport pkg\nx = pkg.NAME",
    "import zipimport\nzipimport._compile_source = lambda name, source: compile('y = 7', name, 'exec')\nimport star\nx = star.y",
    "import zipimport, inspect\nx = [inspect.isfunction(zipimport._compile_source), zipimport._compile_source.__code__.co_filename]",
    "import sys, importlib, zipimport\nimportlib.reload(zipimport)\nimport pkg\nx = pkg.NAME",
    "import sys\nsys.setrecursionlimit(60)\nimport pkg.deep.er\nx = pkg.deep.er.km(1)",
];

/// The answers, without the random part of the directory's name.
fn answers(service: &Service, library: &[u8]) -> Vec<String> {
    let root = service.scratch_root();
    let root = root.to_str().expect("UTF-8");
    let answer = |code: &&str| {
        let body = service.run(&Run::new(*code).library(library.to_vec())).body;
        let prefix = format!("{root}/codejail-");
        let mut parts = body.split(&prefix);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + "/SCRATCH" + &part[8..])
    };
    PROGRAMS.iter().map(answer).collect()
}

fn answers_are_the_same(with: &Service, without: &Service) {
    let library = zip(FILES);
    warm(with, &library);
    let before = metric(with, "hits_total");
    let (cached, compiled) = (answers(with, &library), answers(without, &library));
    for ((program, cached), compiled) in PROGRAMS.iter().zip(cached).zip(compiled) {
        assert_eq!(cached, compiled, "{program}");
    }
    assert_eq!(
        metric(with, "hits_total") - before,
        PROGRAMS.len() as u64,
        "all were given bytecode"
    );
    assert_eq!(metric(without, "hits_total"), 0);
}

#[test]
fn every_answer_is_the_same_with_bytecode_and_without() {
    answers_are_the_same(&Service::start(""), &Service::start(OFF));
}

#[test]
fn every_answer_of_an_unprivileged_service_is_the_same_with_bytecode_and_without() {
    answers_are_the_same(
        &Service::start_unprivileged(""),
        &Service::start_unprivileged(OFF),
    );
}

#[test]
fn a_module_that_warns_or_fails_is_compiled_by_each_run_and_the_others_are_not() {
    let service = Service::start("");
    let library = zip(FILES);
    warm(&service, &library);
    let code = format!(
        "{WATCH}import pkg.deep.er, star, crlf, cr, latin, bom, doc, space.part, warns\n\
         for name in ('syntax', 'not_utf8', 'tabs'):\n    \
             try:\n        __import__(name)\n    \
             except SyntaxError: pass\n\
         x = sorted(set(compiled))"
    );
    let expected = ["not_utf8", "syntax", "tabs", "warns"];
    let expected = expected.map(|name| format!("python_lib.zip/{name}.py"));
    assert_eq!(value_of_x(&service, &code, &library), json!(expected));
}
