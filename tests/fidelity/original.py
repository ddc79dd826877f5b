"""The original, codejail's own `safe_exec`, as its README says to install it: a caller `app` that may
become a user `sandbox` by sudo, for the sandbox's Python, `find` and `pkill`.

Accounts, sudoers file and sudo's PAM file exist in a mount namespace of its own only, as does its
`/tmp`: however it ends, nothing of them is left on the host. There is no AppArmor to confine it, so
code has more permissions than here.

As a program this file is the part inside the namespace. As a module it is the part that asks.
"""

import json
import linecache
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

# Uids of its own, since NPROC counts every process of a uid.
UID_BASE = 349_800_000
UID_STEPS = 10_000

SEE_LOGS = "Couldn't execute sandboxed code: See logs."
CORRUPTED = "Sandboxed code produced corrupted stdout."


class Original:
    """A running original. One request at a time."""

    def __init__(self, python, limits, overrides):
        if Path(python).absolute().is_relative_to("/tmp"):
            raise ValueError(f"{python}: the original gets a /tmp of its own; this Python must lie elsewhere")
        app = UID_BASE + 2 * (os.getpid() % UID_STEPS)
        order = {"python": str(python), "limits": limits, "overrides": overrides, "app": app, "sandbox": app + 1}
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
        )

    def execute(self, request):
        """The answer to `code`, `globals` (JSON text), `python_path`, `context` and `library` (hex or
        None): globals as JSON text, and emsg or None.
        """
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the original ended with status {self._process.wait()}"
        answer = json.loads(line)
        return answer["globals"], answer["emsg"]

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def install(order):
    """Puts on the host what the original's README says."""
    mount("-t", "tmpfs", "-o", "mode=1777", "codejail-original", "/tmp")
    accounts = [("app", order["app"]), ("sandbox", order["sandbox"])]
    names = [name for name, _ in accounts]
    entries = "".join(f"{n}:*:{i}:{i}::/nonexistent:/usr/sbin/nologin\n" for n, i in accounts)
    put("/etc/passwd", others("/etc/passwd", names) + entries)
    put("/etc/group", others("/etc/group", names) + "".join(f"{name}:*:{number}:\n" for name, number in accounts))
    put(
        "/etc/sudoers",
        'Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\n'
        "Defaults !syslog\n"
        f"app ALL=(sandbox) SETENV:NOPASSWD:{order['python']}\n"
        "app ALL=(sandbox) SETENV:NOPASSWD:/usr/bin/find\n"
        "app ALL=(ALL) NOPASSWD:/usr/bin/pkill\n",
    )
    os.chmod("/etc/sudoers", 0o440)
    lines = Path("/etc/pam.d/sudo").read_text().splitlines(keepends=True)
    put("/etc/pam.d/sudo", "".join(line for line in lines if "pam_limits.so" not in line))


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def others(path, names):
    """The host's entries without these names: a prepared host has accounts with the same names."""
    lines = Path(path).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.partition(":")[0] not in names)


def put(path, text):
    """Puts a file in the place of the host's, in this namespace only."""
    Path("/tmp/put").write_text(text)
    os.chmod("/tmp/put", 0o644)
    mount("--bind", "/tmp/put", path)
    os.unlink("/tmp/put")


def become_caller(order):
    """Installs the original and becomes its caller, so that `safe_exec` can be called."""
    # The original's service has no simplejson.
    sys.modules["simplejson"] = None
    # All imports happen now: later a checkout below /tmp can't be seen any more.
    from codejail import jail_code, safe_exec

    remember_text(safe_exec)

    # Signals may be ignored (HUP by nohup, the others by a shell's `&`), and code would inherit
    # that.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    install(order)
    os.setgroups([])
    os.setresgid(*[order["app"]] * 3)
    os.setresuid(*[order["app"]] * 3)
    jail_code.configure("python", order["python"], user="sandbox")
    for name, value in order["limits"].items():
        jail_code.set_limit(name, value)


def remember_text(module):
    """`safe_exec` asks for its own source at each call. Its caller may not be able to read the file then."""
    lines = linecache.getlines(module.__file__)
    # Without a time of change linecache.checkcache does not compare it with the file.
    linecache.cache[module.__file__] = (sum(map(len, lines)), None, lines, module.__file__)


def serve(order):
    """Answers requests, one a line, until there are no more."""
    become_caller(order)
    from codejail import jail_code

    logging.disable()
    for context, limits in order["overrides"].items():
        for name, value in limits.items():
            jail_code.override_limit(name, value, context)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    for line in sys.stdin:
        globals_text, emsg = answer(json.loads(line))
        answers.write(json.dumps({"globals": globals_text, "emsg": emsg}) + "\n")
        answers.flush()


def answer(request):
    """The answer that codejail-service makes. If safe_exec fails it has the input globals."""
    from codejail.safe_exec import SafeExecException, safe_exec

    globals_dict = json.loads(request["globals"])
    library = request["library"]
    try:
        safe_exec(
            request["code"],
            globals_dict,
            python_path=["python_lib.zip"] if request["python_path"] else None,
            limit_overrides_context=request["context"],
            extra_files=[("python_lib.zip", bytes.fromhex(library))] if library else [],
        )
    except SafeExecException as error:
        return request["globals"], str(error)
    except json.JSONDecodeError:
        return request["globals"], CORRUPTED
    except Exception as error:
        print(f"original: {type(error).__name__}: {error}", file=sys.stderr)
        return request["globals"], SEE_LOGS
    return json.dumps(globals_dict), None


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
