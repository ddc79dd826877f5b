//! Executions of a course library that was compiled before: faster, and with the same answers.

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::http::Run;
use support::processes::wait_for;
use support::{START_MAX, Service, library, zip};

/// A user whom nothing else on a test machine is; apart from the ranges of services.
const NOBODY_ELSE: u32 = 349_123_459;
const OFF: &str = "[library_cache]\nbytes_max = 0";

fn metric(service: &Service, name: &str) -> u64 {
    service.metric(&format!("codejail_library_cache_{name}"))
}

/// Libraries that something is known of, so far.
fn known(service: &Service) -> u64 {
    metric(service, "compiled_total") + metric(service, "failed_total")
}

/// Sends the library until something is known of it: at least twice.
fn warm(service: &Service, library: &[u8]) {
    let before = known(service);
    service.run(&Run::new("x = 1").library(library.to_vec()));
    wait_for("a compilation", START_MAX, || {
        service.run(&Run::new("x = 1").library(library.to_vec()));
        (known(service) > before).then_some(())
    });
}

fn value_of_x(service: &Service, code: &str, library: &[u8]) -> Value {
    let run = Run::new(code).library(library.to_vec());
    service.run(&run).success()["x"].take()
}

fn unprivileged(overrides: &str) -> Service {
    Service::start_unprivileged(NOBODY_ELSE, overrides)
}

/// Which modules of the library are compiled while the code runs that follows.
const WATCH: &str = "import sys\ncompiled = []\n\
    def hook(event, args):\n    \
        if event == 'compile' and str(args[1]).startswith('python_lib.zip'):\n        \
            compiled.append(args[1])\n\
    sys.addaudithook(hook)\n";

/// Whether a run that imports `lib` compiles it.
fn compiles(service: &Service, library: &[u8]) -> bool {
    let code = format!("{WATCH}import lib\nx = len(compiled) > 0");
    value_of_x(service, &code, library) == json!(true)
}

fn a_third_execution_does_not_compile(service: &Service) {
    let library = library("lib", "def f():\n    return 5\n");
    assert!(compiles(service, &library));
    assert!(compiles(service, &library));
    wait_for("the compilation", START_MAX, || {
        (metric(service, "compiled_total") == 1).then_some(())
    });
    assert!(!compiles(service, &library));
    assert_eq!(value_of_x(service, "import lib; x = lib.f()", &library), 5);
    let counted = ["hits", "misses", "compiled", "failed", "evicted"]
        .map(|name| metric(service, &format!("{name}_total")));
    assert_eq!(counted, [2, 2, 1, 0, 0]);
    assert!(metric(service, "bytes") > 100);
    // The compilation is no execution of a client's.
    assert_eq!(service.metric("codejail_execution_seconds_count"), 4);
    assert!(service.log().contains("library compiled"));
}

#[test]
fn a_third_execution_is_given_bytecode_and_does_not_compile() {
    a_third_execution_does_not_compile(&Service::start(""));
}

#[test]
fn an_unprivileged_service_gives_bytecode_too() {
    a_third_execution_does_not_compile(&unprivileged(""));
}

#[test]
fn a_service_whose_cache_is_off_compiles_each_time() {
    let service = Service::start(OFF);
    let library = library("lib", "x = 1\n");
    for _ in 0..3 {
        assert!(compiles(&service, &library));
    }
    let counted = ["hits_total", "misses_total", "compiled_total", "bytes"];
    assert_eq!(counted.map(|name| metric(&service, name)), [0; 4]);
}

/// All that a library can hold.
const FILES: &[(&str, &[u8])] = &[
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

/// What a run can do with it: each sets `x` or fails.
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

/// Answers, but for the random part of the directory's name.
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
    answers_are_the_same(&unprivileged(""), &unprivileged(OFF));
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

#[test]
fn what_a_run_does_to_its_library_reaches_no_other_run() {
    let service = Service::start("[limits]\nFSIZE = 1000000");
    let library = library("lib", "def f():\n    return 5\n");
    let vandals = [
        // What a compilation would answer; also where the status of a compilation would come from.
        "import sys\nsys.__stdout__.write('{\"bytecode\": \"AAAA\"}')\nsys.__stdout__.flush()",
        "bytecode = 'AAAA'",
        "import zipimport, marshal, builtins\n\
         zipimport.compile = builtins.compile = marshal.loads = marshal.dumps = lambda *a, **k: None",
        "import lib\nlib.f.__code__ = (lambda: 6).__code__",
        "open('python_lib.zip', 'wb').write(b'')",
        "import os\nos.rename('python_lib.zip', 'tmp/python_lib.zip')",
        "import zipimport, gc\n[o.clear() for o in gc.get_objects() if type(o) is dict and 'python_lib.zip/lib.py' in o]",
    ];
    for vandal in vandals {
        // The second time beside the compilation.
        for _ in 0..2 {
            service.run(&Run::new(vandal).library(library.clone()));
        }
        let x = value_of_x(&service, "import lib; x = lib.f()", &library);
        assert_eq!(x, json!(5), "{vandal}");
        wait_for("the compilation", START_MAX, || {
            (known(&service) == 1).then_some(())
        });
    }
    assert!(!compiles(&service, &library));
    assert_eq!(known(&service), 1);
}

#[test]
fn another_library_with_the_same_names_gets_nothing_of_the_first() {
    let service = Service::start("[limits]\nFSIZE = 1000000");
    let libraries = ["x = 'one'\n", "x = 'two'\n"].map(|source| library("lib", source));
    for library in &libraries {
        warm(&service, library);
    }
    for _ in 0..2 {
        for (library, expected) in libraries.iter().zip(["one", "two"]) {
            let x = value_of_x(&service, "import lib; x = lib.x", library);
            assert_eq!(x, json!(expected));
        }
    }
    // The same path, by a file of the run's own.
    let code = format!(
        "{WATCH}import os\nos.chdir('tmp')\nopen('python_lib.zip', 'wb').write(bytes.fromhex(other))\n\
         import lib\nx = [lib.x, len(compiled) > 0]"
    );
    let other: String = libraries[1].iter().map(|b| format!("{b:02x}")).collect();
    let run = Run::new(code)
        .globals(json!({ "other": other }).to_string())
        .library(libraries[0].clone());
    assert_eq!(service.run(&run).success()["x"], json!(["two", true]));
}

#[test]
fn a_library_that_is_sent_but_not_on_the_path_is_left_alone() {
    let service = Service::start("");
    let mut run = Run::new("x = 1").library(library("lib", "x = 1\n"));
    run.python_path = false;
    for _ in 0..2 {
        assert_eq!(service.run(&run).success(), json!({"x": 1}));
    }
    assert_eq!(known(&service) + metric(&service, "misses_total"), 0);
}

#[test]
fn no_module_of_a_library_is_executed_to_compile_it() {
    let service = Service::start("");
    // The names of what the compiler imports: none of these may take its place.
    let endless = b"while True:\n    pass\n".as_slice();
    let names = ["base64", "marshal", "zipfile", "warnings", "six", "lib"];
    let files = names.map(|name| (format!("{name}.py"), endless));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (&**name, *text)).collect();
    let library = zip(&files);
    warm(&service, &library);
    assert_eq!(metric(&service, "compiled_total"), 1);
    assert!(metric(&service, "bytes") > 0);
    let code = "import zipimport\nx = zipimport.zipimporter('python_lib.zip').get_code('lib').co_names == ()";
    assert_eq!(value_of_x(&service, code, &library), json!(true));
}

#[test]
fn libraries_that_can_not_be_compiled_are_tried_once_and_harm_nobody() {
    let service = Service::start("");
    let nested = format!("x = {}1\n", "-".repeat(200_000));
    // 60 MB of zeros; 4,000 modules; a tree too large for the compiler's memory.
    let zeros = vec![0; 60 << 20];
    let many: Vec<String> = (0..4000).map(|n| format!("m{n}.py")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|n| (&**n, b"x = 1\n".as_slice())).collect();
    let large = format!("x = [{}]\n", "[], ".repeat(1 << 20));
    let libraries = [
        b"this is no archive".to_vec(),
        zip(FILES)[..300].to_vec(),
        Vec::new(),
        zip(&[("lib.py", b"x = 1\n"), ("bomb.py", &zeros)]),
        zip(&[("lib.py", b"x = 1\n"), ("nested.py", nested.as_bytes())]),
        zip(&many),
        zip(&[("lib.py", b"x = 1\n"), ("large.py", large.as_bytes())]),
    ];
    for library in &libraries {
        warm(&service, library);
        let known = known(&service);
        for _ in 0..2 {
            value_of_x(&service, "x = 1", library);
        }
        assert_eq!(self::known(&service), known);
    }
    assert_eq!(metric(&service, "failed_total"), 3);
    assert!(!compiles(&service, &libraries[3]));
    assert!(!compiles(&service, &libraries[4]));
    assert_eq!(service.get("/health/").status, 200);
    assert_eq!(service.workers().len(), 1);
}

#[test]
fn hundreds_of_libraries_stay_within_the_bound() {
    let service = Service::start("[library_cache]\nbytes_max = 5000");
    for n in 0..200 {
        let library = library("lib", &format!("def f():\n    return {n}\n"));
        for _ in 0..2 {
            let x = value_of_x(&service, "import lib; x = lib.f()", &library);
            assert_eq!(x, json!(n));
        }
        assert!(metric(&service, "bytes") <= 5000);
    }
    wait_for("an eviction", START_MAX, || {
        (metric(&service, "evicted_total") > 0).then_some(())
    });
    assert_eq!(service.get("/health/").status, 200);
}

#[test]
fn the_library_that_was_not_asked_for_in_the_longest_time_goes_first() {
    let libraries = [1, 2, 3].map(|n| library("lib", &format!("x = {n}\n")));
    let one = Service::start("");
    warm(&one, &libraries[0]);
    let bytes_max = metric(&one, "bytes") * 5 / 2;
    let service = Service::start(&format!("[library_cache]\nbytes_max = {bytes_max}"));
    warm(&service, &libraries[0]);
    warm(&service, &libraries[1]);
    assert!(!compiles(&service, &libraries[0]));
    warm(&service, &libraries[2]);
    assert_eq!(metric(&service, "evicted_total"), 1);
    assert!(!compiles(&service, &libraries[0]));
    assert!(!compiles(&service, &libraries[2]));
    assert!(compiles(&service, &libraries[1]));
}

#[test]
fn a_reload_forgets_all_libraries() {
    let service = Service::start("");
    let library = library("lib", "x = 1\n");
    warm(&service, &library);
    let workers = service.workers();
    service.tell(Signal::SIGHUP);
    wait_for("other workers", START_MAX, || {
        let now = service.workers();
        (now.len() == 1 && now != workers).then_some(())
    });
    assert_eq!(metric(&service, "bytes"), 0);
    warm(&service, &library);
    assert!(!compiles(&service, &library));
    service.reconfigure(OFF);
    service.tell(Signal::SIGHUP);
    wait_for("a cache that is off", START_MAX, || {
        compiles(&service, &library).then_some(())
    });
    assert_eq!(metric(&service, "bytes"), 0);
}

#[test]
fn a_compilation_does_not_wear_its_worker() {
    let service = Service::start("max_requests = 3\nmax_requests_jitter = 0");
    let workers = service.workers();
    let library = library("lib", "x = 1\n");
    for _ in 0..2 {
        value_of_x(&service, "x = 1", &library);
    }
    wait_for("the compilation", START_MAX, || {
        (known(&service) == 1).then_some(())
    });
    assert_eq!(service.workers(), workers);
    service.execute("x = 1").success();
    wait_for("the next worker alone", START_MAX, || {
        let now = service.workers();
        (now.len() == 1 && now != workers).then_some(())
    });
}

/// Some seconds of work for the compiler.
fn large_library() -> Vec<u8> {
    let function = "def f(a, b=1):\n    return [a + b for a in range(b) if a in (1, 2)]\n";
    library("lib", &function.repeat((3 << 20) / function.len()))
}

#[test]
fn a_service_that_compiles_answers_others_meanwhile_and_ends_when_it_is_told_to() {
    let mut service = Service::start("");
    let run = Run::new("x = 1").library(large_library());
    for _ in 0..2 {
        service.run(&run).success();
    }
    for n in 0..20 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    assert_eq!(known(&service), 0, "it still compiles");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
}
