"""The real client with the settings of LMS and CMS, and one running service for it."""

import functools
import importlib.util
import os
import sys
from pathlib import Path

import django
import pytest
from django.conf import settings
from running_service import running_service

CLIENT_PACKAGE = Path(importlib.util.find_spec("xblocks_contrib").origin).parent
CAPA = "xblocks_contrib.problem.capa"

# The client's modules read settings while they are imported.
settings.configure(
    STATIC_URL="/static/",
    USE_I18N=False,
    INSTALLED_APPS=[CAPA],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [CLIENT_PACKAGE / "problem/capa/templates"],
        }
    ],
    ENABLE_CODEJAIL_REST_SERVICE=True,
    CODE_JAIL_REST_SERVICE_REMOTE_EXEC=f"{CAPA}.safe_exec.remote_exec.send_safe_exec_request_v0",
    # LMS's defaults, in seconds. CODE_JAIL_REST_SERVICE_HOST: see `service`.
    CODE_JAIL_REST_SERVICE_CONNECT_TIMEOUT=0.5,
    CODE_JAIL_REST_SERVICE_READ_TIMEOUT=3.5,
)
django.setup()

# Python 3.11 refuses longer integers in text. LMS has the same default.
assert sys.get_int_max_str_digits() == 4300

service_log = pytest.StashKey()


@pytest.fixture(scope="session", autouse=True)
def service(tmp_path_factory, pytestconfig):
    """A healthy service, named by the client's settings. CODEJAIL_TEST_SERVICE may name one that runs."""
    if running := os.environ.get("CODEJAIL_TEST_SERVICE"):
        settings.CODE_JAIL_REST_SERVICE_HOST = running
        yield running
        return
    with running_service(tmp_path_factory.mktemp("service")) as (address, log):
        settings.CODE_JAIL_REST_SERVICE_HOST = address
        pytestconfig.stash[service_log] = log
        yield address


@pytest.fixture
def problem(tmp_path):
    """A function that makes a LoncapaProblem of XML: see make_problem."""
    # `problems` imports the client's modules, which need the settings.
    from problems import make_problem

    return functools.partial(make_problem, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Shows the service's log with a failed test."""
    report = yield
    log = item.config.stash.get(service_log, None)
    if report.failed and log:
        report.sections.append(("codejail serve", str(log)))
    return report
