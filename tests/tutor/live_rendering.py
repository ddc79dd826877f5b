"""The plugin with each release of Tutor that is alive: what it renders from defaults and from operators' own
configurations, and how that differs from what the plugin renders whose place it takes. `make test-tutor`."""

import re
from fnmatch import fnmatchcase

import pytest
import yaml
from rendered import RELEASES, REPOSITORY, TOOLS, Environment, operator, run, tutor
from running_service import CODEJAIL

DIFFERENCES = REPOSITORY / "docs/tutor.md"


def effective(environment, tmp_path, **variables):
    """The configuration as the service itself prints it."""
    settings = environment.env / "plugins/codejail/apps/codejail"
    variables |= {
        "CODEJAIL_CONFIG": str(settings / "codejail.toml"),
        "CODEJAIL_SERVICE_CFG": str(settings / "codejail.yml"),
    }
    done = run(CODEJAIL, "serve", "--print-config", env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compose_files_have_the_service_where_the_lms_looks_for_it(environment):
    (service, loader) = map(environment.services("local").get, ("codejail", "codejail-apparmor-loader"))
    assert service["depends_on"] == {"codejail-apparmor-loader": {"condition": "service_completed_successfully"}}
    assert loader["privileged"] and "apparmor:openedx_codejail_service" in service["security_opt"]
    assert environment.services("dev") == {}
    for side in ("lms", "cms"):
        names = environment.yaml("apps/openedx/config", f"{side}.env.yml")
        assert names["ENABLE_CODEJAIL_REST_SERVICE"] is True
        assert names["CODE_JAIL_REST_SERVICE_HOST"] == "http://codejail:8000"
    for path in service["volumes"]:
        assert (environment.env / "local" / path.split(":")[0]).is_dir()


def test_the_service_takes_every_setting(environment, tmp_path):
    text = effective(environment, tmp_path)
    assert 'bind = "0.0.0.0:8000"' in text and "enabled = true" in text
    assert re.search(r"^VMEM = .*codejail\.yml, CODE_JAIL\.limits\.VMEM$", text, re.MULTILINE)


def test_kubernetes_takes_every_object(environment):
    check = [TOOLS / "schemas/bin/kubernetes-validate", "-k", "1.36", "--strict", "--quiet", "-"]
    checked = run(*check, input=environment.kustomized)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wrong = environment.kustomized.replace("maxUnavailable: 1", "maxUnavailable: [1]")
    assert run(*check, input=wrong).returncode != 0


def test_compose_takes_the_file(environment):
    files = ["docker-compose.yml", "docker-compose.jobs.yml"]
    arguments = [part for name in files for part in ("-f", environment.env / "local" / name)]
    # Version 1 looks for a seccomp profile in the directory that it is started in, version 2 beside
    # the file.
    done = run("docker-compose", *arguments, "config", "--quiet", cwd=environment.env / "local")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_an_operator_s_patches_and_keys_mean_what_they_meant(rendered, release):
    expected, environment = operator(release)["expected"], rendered(release, release)
    settings = environment.yaml("plugins/codejail/apps/codejail/codejail.yml")
    assert settings["CODEJAIL_ENABLED"] is True
    assert settings["CODE_JAIL"]["limits"] == expected["limits"]
    assert (settings["CODE_JAIL"].get("limit_overrides") or {}) == expected.get("overrides", {})
    assert sorted(environment.notes) == sorted(expected["notes"])
    dockerfile = environment.text("plugins/codejail/build/codejail/Dockerfile")
    assert f'ARG SANDBOX_PY_VER="{expected["python"]}"' in dockerfile
    extra = expected.get("requirements", "").replace('"', '\\"')
    assert f'ARG EXTRA_PIP_REQUIREMENTS="{extra}"' in dockerfile


def test_a_script_splits_requirements_as_the_image_s_does(rendered):
    for release in ("20", "22"):
        line = re.search(
            r"^ARG EXTRA_PIP_REQUIREMENTS=(.*)$",
            rendered(release, release).text("plugins/codejail/build/codejail/Dockerfile"),
            re.MULTILINE,
        )[1]
        # The quotes of ARG are those of a shell.
        script = f"value={line}; xargs --no-run-if-empty -n 1 printf '%s\\n' <<<\"$value\""
        words = run("bash", "-c", script).stdout.splitlines()
        configured = operator(release)["config"]["CODEJAIL_EXTRA_PIP_REQUIREMENTS"]
        assert words == (
            [text.strip() for text in configured.split(",")] if isinstance(configured, str) else configured
        )


def test_new_keys_reach_the_service_and_the_objects(rendered, tmp_path):
    environment = rendered("22", "22")
    text = effective(environment, tmp_path)
    for line in [
        "workers = 8",
        "sandboxes_per_worker = 2",
        'preload = ["numpy", "sympy"]',
        'format = "json"',
        'level = "warn,codejail::exec=info"',
        "max_requests = 500",
        'bind = "0.0.0.0:9404"',
        'mounts = "require"',
        'apparmor = "require"',
    ]:
        assert line in text, text
    objects = environment.objects()
    deployment = objects["Deployment codejail"]["spec"]
    container = deployment["template"]["spec"]["containers"][0]
    assert deployment["replicas"] == 3
    assert container["image"] == "registry.example.org/openedx/codejail:1"
    assert container["resources"]["limits"] == {"memory": "12Gi"}
    assert "SYS_ADMIN" in container["securityContext"]["capabilities"]["add"]
    pod = deployment["template"]["spec"]["securityContext"]
    assert pod["seccompProfile"] == {"type": "Localhost", "localhostProfile": "codejail/seccomp.json"}
    assert "DaemonSet codejail-aa-loader" in objects
    rules = objects["NetworkPolicy codejail"]["spec"]["ingress"]
    assert rules[1]["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "observability"
    service = environment.services("local")["codejail"]
    assert service["mem_limit"] == 12 << 30
    assert any(option.startswith("seccomp:") for option in service["security_opt"])
    assert "SYS_ADMIN" in service["cap_add"]


@pytest.mark.parametrize("mode", ["root", "namespaces", "full", "user", "user-full"])
def test_each_mode_requires_the_layers_that_the_image_s_file_of_that_name_has(rendered, mode, tmp_path):
    layers = (REPOSITORY / "deploy/docker/config/layers" / f"{mode}.toml").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^layers\.(\w+) = \"require\"$", layers, re.MULTILINE))
    assert wanted >= {"landlock", "seccomp"}
    environment = rendered("22", CODEJAIL_MODE=mode, CODEJAIL_APPARMOR="off")
    found = set(
        re.findall(
            r"^layers\.(\w+) = \"require\"$",
            environment.text("plugins/codejail/apps/codejail/codejail.toml"),
            re.MULTILINE,
        )
    )
    assert found == wanted
    service = environment.services("local")
    assert list(service) == ["codejail"] and "depends_on" not in service["codejail"]
    assert ("user" in service["codejail"]) == mode.startswith("user")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("SANDBOX_PYTHON_VERSION", "3.7.6", "must be 3.8 or newer"),
        ("SANDBOX_PYTHON_VERSION", "latest", "must be 3.8 or newer"),
        ("MODE", "privileged", "must be one of root, namespaces"),
        ("APPARMOR", "sometimes", "must be require or off"),
        ("MEMORY_LIMIT", "much", "must be such as 3Gi"),
    ],
)
def test_a_value_that_can_not_be_is_refused_with_what_would_be_right(tmp_path, key, value, said):
    environment = Environment("22", tmp_path / "root", {"PLUGINS": ["codejail"], f"CODEJAIL_{key}": value})
    assert environment.saved.returncode != 0
    assert f"CODEJAIL_{key}" in environment.saved.stderr and said in environment.saved.stderr


def test_patches_that_fail_are_named(tmp_path):
    patches = {"codejail-common-settings": 'CODE_JAIL["limit"]["CPU"] = 1'}
    environment = Environment("22", tmp_path / "root", {"PLUGINS": ["codejail", "operator"]}, patches)
    assert environment.saved.returncode != 0
    assert "codejail-common-settings" in environment.saved.stderr and "KeyError: 'limit'" in environment.saved.stderr


def test_both_images_are_built_from_one_dockerfile_and_pulled_only_from_somewhere(rendered):
    local, elsewhere = rendered("22"), rendered("22", "22")
    for command in ("pull", "push"):
        done = tutor("22", local.root, "images", command, "codejail")
        assert done.returncode != 0 and "codejail" in done.stderr
        # docker is called, and fails because there is no engine or no such registry.
        done = tutor("22", elsewhere.root, "images", command, "codejail")
        assert f"docker {command} registry.example.org/openedx/codejail:1" in done.stdout + done.stderr


def test_the_autoscaling_plugin_scales_the_deployment(rendered):
    environment = rendered("22", PLUGINS=("codejail", "pod-autoscaling"))
    objects = environment.objects()
    assert "replicas" not in objects["Deployment codejail"]["spec"]
    scaled = [item for item in yaml.safe_load_all(environment.kustomized) if item["kind"] == "HorizontalPodAutoscaler"]
    assert "codejail" in [item["spec"]["scaleTargetRef"]["name"] for item in scaled]


def rows():
    """The table of differences: patterns of paths, in backticks, and the rest of each row."""
    text = DIFFERENCES.read_text(encoding="utf-8")
    table = re.search(r"<!-- differences -->\n(.*?)<!-- /differences -->", text, re.DOTALL)[1]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", line[0]), line[1:]) for line in lines]


def test_each_difference_to_the_other_plugin_is_listed_with_its_reason(rendered, theirs):
    here, there = rendered("22", CODEJAIL_ENABLE_K8S_DAEMONSET=True).facts(), theirs.facts()
    paths = sorted(here.keys() | there.keys())
    different = {path: (there.get(path), here.get(path)) for path in paths if there.get(path) != here.get(path)}
    patterns = [pattern for names, _ in rows() for pattern in names]
    unlisted = {path: values for path, values in different.items() if not any(fnmatchcase(path, p) for p in patterns)}
    assert unlisted == {}
    idle = [pattern for pattern in patterns if not any(fnmatchcase(path, pattern) for path in different)]
    assert idle == [], "these are no differences"
    assert all(len(rest) == 3 and all(rest) for _, rest in rows())


def test_what_others_rely_on_is_the_same(rendered, theirs):
    here, there = rendered("22", CODEJAIL_ENABLE_K8S_DAEMONSET=True), theirs
    assert {name for name in there.facts() if name.startswith(("lms", "cms"))} != set()
    for side in ("lms", "cms"):
        same = [{k: v for k, v in facts.facts().items() if k.startswith(side)} for facts in (here, there)]
        assert same[0] == same[1]
    assert here.services("local").keys() == there.services("local").keys()
    kinds = ("Deployment codejail", "Service codejail", "DaemonSet codejail-aa-loader", "ConfigMap codejail-settings")
    assert set(kinds) <= here.objects().keys() & there.objects().keys()
    port = [side.objects()["Service codejail"]["spec"]["ports"][0] for side in (here, there)]
    assert port[0] == port[1]
