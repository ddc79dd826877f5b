"""A container's life: signals, health, process 1, memory, a root that can't be written. See live_modes.py."""

import re
import threading

import requests
from containers import container, docker, wait_until
from modes import HARDENED, ROOT

FLAGS = [*ROOT, *HARDENED]


def test_readme_line_serves_on_the_hosts_loopback():
    with container("--publish=127.0.0.1:18080:8080") as service:
        service.health()
        payload = {"payload": '{"code": "x = 1 + 1", "globals_dict": {}}'}
        answer = requests.post("http://127.0.0.1:18080/api/v0/code-exec", data=payload, timeout=30)
        assert answer.text == '{"globals_dict":{"x":2}}'


def test_an_execution_is_answered_after_the_engine_has_said_stop():
    answers = []
    with container(*FLAGS) as service:
        service.health()
        code = "import time\ntime.sleep(2)\nx = 'done'\ndel time"
        running = threading.Thread(target=lambda: answers.append(service.execute(code)))
        running.start()
        wait_until(lambda: "codejail_sandboxes_busy 1" in service.get("/metrics").text, service.log)
        docker("stop", service.name)
        running.join()
        assert answers == [{"globals_dict": {"x": "done"}}]
        assert service.state(".State.ExitCode") == "0", service.log()
        # The engine told process 1, which told no process twice.
        assert service.log().count('event="service_draining"') == 1
        docker("start", service.name)
        service.health()
        assert service.execute("x = 1") == {"globals_dict": {"x": 1}}
        docker("restart", service.name)
        service.health()
        assert service.execute("x = 2") == {"globals_dict": {"x": 2}}


def test_hup_replaces_the_workers_and_loses_no_request():
    with container(*FLAGS) as service:
        service.health()
        docker("kill", "--signal=HUP", service.name)
        while service.log().count('event="worker_warmed"') < 4:
            assert service.execute("x = 1") == {"globals_dict": {"x": 1}}
        assert 'event="configuration_reloaded"' in service.log()


def test_process_1_reaps_what_others_leave_behind():
    with container(*FLAGS) as service:
        service.health()
        # The child lives longer than its parent, and becomes a child of process 1.
        service.run_inside("sh", "-c", "sleep 0.5 & exec sh -c 'exit 0'")
        is_left = "for s in /proc/[0-9]*/stat; do read -r line <$s && echo $line; done 2>/dev/null"

        def strangers():
            lines = [line.split() for line in service.run_inside("bash", "-c", is_left).splitlines()]
            return [line for line in lines if line[1] == "(sleep)" or line[2] == "Z"]

        wait_until(lambda: not strangers(), strangers)
        # The spawner is also a child of process 1, and is still there.
        assert service.execute("x = 1") == {"globals_dict": {"x": 1}}


def test_the_engine_sees_whether_it_is_healthy():
    often = ["--health-interval=1s", "--health-retries=2", "--health-start-period=1s"]
    with container(*FLAGS, *often) as service:
        wait_until(lambda: service.state(".State.Health.Status") == "healthy", service.log, 120)
    # The service can reach an address that it must not reach: its own.
    with container(*FLAGS, *often, "--env=CODEJAIL_EGRESS_CHECK=127.0.0.1:8080") as service:
        wait_until(lambda: 'event="service_serving"' in service.log(), service.log, 120)
        wait_until(lambda: "egress_check says" in service.state("json .State.Health.Log"), service.log)
        assert service.state(".State.Health.Status") == "unhealthy"


def test_the_health_check_asks_where_the_service_listens():
    often = ["--health-interval=1s"]
    for bind in ("0.0.0.0:9000", "127.0.0.1:9000"):
        with container(*FLAGS, *often, f"--env=CODEJAIL_BIND={bind}") as service:
            wait_until(lambda: service.state(".State.Health.Status") == "healthy", service.log, 120)


def test_a_run_that_takes_the_containers_memory_is_ended_and_the_service_goes_on():
    with container(*FLAGS, "--memory=1g", "--memory-swap=1g", "--env=CODEJAIL_LIMITS__VMEM=0") as service:
        service.health()
        answer = service.execute("x = len(bytearray(b'1') * (2 << 30))")
        assert (
            answer["emsg"] in ("Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: -9",)
            or "MemoryError" in answer["emsg"]
        ), answer
        assert service.execute("x = 1") == {"globals_dict": {"x": 1}}
        assert service.is_running


def test_a_run_within_vmem_leaves_the_containers_memory_alone():
    with container(*FLAGS, "--memory=1g", "--memory-swap=1g") as service:
        service.health()
        assert "MemoryError" in service.execute("x = len(bytearray(2 << 30))")["emsg"]


def test_nothing_of_a_root_that_cant_be_written_is_written():
    with container(*FLAGS) as service:
        service.health()
        code = "with open('tmp/x', 'w') as f:\n f.write('1')\nwith open('tmp/x') as f:\n x = f.read()\ndel f"
        assert service.execute(code) == {"globals_dict": {"x": "1"}}
        changed = docker("diff", service.name).splitlines()
        # Except where file systems in memory are mounted.
        assert [line for line in changed if not line.endswith(("/tmp", "/run"))] == []


def test_one_process_tree_and_no_shell():
    with container(*FLAGS) as service:
        service.health()
        commands = docker("top", service.name, "-eo", "pid,ppid,args").splitlines()[1:]
        # A name in brackets is that of a process that ends.
        known = re.compile(r"codejail serve|codejail spawner|/sandbox/venv/bin/python -B jailed_code|\[python\]")
        assert [line for line in commands if not known.search(line)] == []
