"""Runs steps as a service without any confinement would: one after the other, in one interpreter.

Standard input is a JSON list of {"code", "globals_dict", "directory"}. Each step has a fresh dictionary and makes
its directory, with `jailed_code` and `tmp`. Each answer is a line on standard output. If a step leaves a global
`kept`, the next step gets it. The process that runs the steps has a parent of the same user.
"""

import json
import os
import resource
import signal
import sys
import traceback


class DevNull:
    def write(self, *args, **kwargs):
        pass

    def flush(self, *args, **kwargs):
        pass


def survives(value):
    """Whether JSON can hold the value. This is exact enough for these probes."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def run(code, g_dict):
    """Runs one execution. Returns the answer in the service's form."""
    given = dict(g_dict)
    try:
        exec(code, g_dict)
    except BaseException:
        return {"globals_dict": given, "emsg": "status code: 1 " + traceback.format_exc()}
    return {"globals_dict": {k: v for k, v in g_dict.items() if k != "__builtins__" and survives(v)}}


def run_all(steps):
    kept = None
    for step in steps:
        directory = step["directory"]
        os.makedirs(directory + "/tmp")
        with open(directory + "/jailed_code", "w") as file:
            file.write("exec(code, g_dict)\n")
        os.chdir(directory)
        g_dict = step["globals_dict"]
        g_dict["kept"] = g_dict.get("kept") or kept
        answer = run(step["code"], g_dict)
        kept = answer["globals_dict"].get("kept")
        os.write(1, (json.dumps(answer) + "\n").encode())


def pass_on(status):
    """Ends this process in the same way as its child."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


todo = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
pid = os.fork()
if pid:
    pass_on(os.waitpid(pid, 0)[1])
# A careless service leaves its own files open. The probe that looks for such files finds this one.
careless = open(__file__)
sys.stdout = DevNull()
run_all(todo)
os._exit(0)
