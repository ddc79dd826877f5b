"""The Dockerfile that Tutor renders, beside an engine that reaches registries: the stages that differ from those of the
clone's Dockerfile, built by BuildKit, as Tutor builds. The service's own stage is the clone's; compiling Rust once more
would show nothing new."""

import os
import subprocess

BUILD_SECONDS_MAX = 900


def build(environment, target, *arguments):
    context = environment.env / "plugins/codejail/build/codejail"
    command = [
        "docker",
        "build",
        "--network",
        "host",
        "--target",
        target,
        "--tag",
        f"tutor-{target}",
        *arguments,
        context,
    ]
    built = subprocess.run(
        [*map(str, command)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=BUILD_SECONDS_MAX,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-4000:]


def inside(image, *command):
    ran = ["docker", "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:]]
    return subprocess.run(ran, capture_output=True, encoding="utf-8", check=True, timeout=60).stdout


def test_the_loader_has_the_profiles_of_this_clone(rendered):
    build(rendered("22"), "apparmor")
    profile = inside("tutor-apparmor", "cat", "/usr/local/lib/codejail/apparmor/compat/openedx_codejail_service")
    assert "profile openedx_codejail_service" in profile


def test_the_sandboxes_have_an_operator_s_requirements_without_asking_git(rendered):
    environment = rendered("22", CODEJAIL_EXTRA_PIP_REQUIREMENTS=("six==1.17.0", "attrs>=25; python_version < '3.99'"))
    lists = ["SANDBOX_DEPS_REPO=", "SANDBOX_REQUIREMENTS=/dev/null"]
    build(environment, "sandbox", *[part for name in lists for part in ("--build-arg", name)])
    installed = inside("tutor-sandbox", "/sandbox/venv/bin/python", "-m", "pip", "list")
    assert "attrs" in installed and "numpy" not in installed
