"""The image's Dockerfile, as `tutor images build` needs it. Its defaults come from this configuration. Its build
context has nothing but an archive of the source."""

import base64
import re

from tutor.__about__ import __version__ as tutor_version

from . import clone, configuration

ARCHIVE = "source.tar.xz.base64"

SOURCE_STAGE = f"""\
FROM debian:bookworm-slim AS source
RUN apt-get update && apt-get install --yes --no-install-recommends xz-utils && rm -rf /var/lib/apt/lists/*
COPY {ARCHIVE} /
RUN mkdir /clone && base64 --decode /{ARCHIVE} | tar --extract --xz --directory /clone

"""


def source():
    """The archive as text, since Tutor renders text."""
    return base64.encodebytes(clone.content("source.tar.xz")).decode("ascii")


def _quoted(requirement):
    """Quotes a requirement, since the image's script splits the list as a shell does."""
    quote = "'" if '"' in requirement else '"'
    return f"{quote}{requirement}{quote}"


def _argument(value):
    """A value, quoted as it stands in the Dockerfile after `ARG NAME=`."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def defaults(config, render):
    """Build arguments that follow from config.yml; `-a NAME=VALUE` overrides them."""
    repository, version = render("CODEJAIL_SERVICE_REPOSITORY"), render("CODEJAIL_SERVICE_VERSION")
    directory = "requirements/sandbox"
    if int(tutor_version.split(".")[0]) < 22 or configuration.OTHER_SERVICE in repository.lower():
        # Before Verawood the list of the sandboxes' libraries was in the LMS's repository.
        repository, version = render("EDX_PLATFORM_REPOSITORY"), render("EDX_PLATFORM_VERSION")
        directory = "requirements/edx-sandbox"
    extra = configuration.requirements(config["CODEJAIL_EXTRA_PIP_REQUIREMENTS"])
    return {
        "SANDBOX_PY_VER": configuration.python_version(config["CODEJAIL_SANDBOX_PYTHON_VERSION"]),
        "SANDBOX_DEPS_REPO": repository,
        "SANDBOX_DEPS_VERSION": version,
        "SANDBOX_DEPS_SRC_DIR": directory,
        "EXTRA_PIP_REQUIREMENTS": " ".join(map(_quoted, extra)),
    }


def _from_source(match):
    """The COPY that takes the same files from the stage `source` instead of from the context."""
    *sources, target = match[1].split()
    return f"COPY --from=source {' '.join(f'/clone/{name}' for name in sources)} {target}"


def dockerfile(arguments):
    """The Dockerfile of the source, with other defaults. It copies from the archive instead of from the context."""
    text = clone.text("Dockerfile")
    text = re.sub(r"^COPY (?!--from)(.*)$", _from_source, text, flags=re.MULTILINE)
    for name, value in arguments.items():
        text, found = re.subn(
            rf"^ARG {name}=.*$", lambda _, name=name, value=value: f"ARG {name}={_argument(value)}", text, flags=re.M
        )
        assert found, name
    head, first, rest = text.partition("\nFROM ")
    return f"{head}\n{SOURCE_STAGE}{first}{rest}"
