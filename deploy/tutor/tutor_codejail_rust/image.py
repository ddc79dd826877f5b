"""The image's Dockerfile, as `tutor images build` needs it: with this configuration's defaults, and a context that
has nothing but an archive of the source."""

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
    """As the image's script splits them: like a shell."""
    quote = "'" if '"' in requirement else '"'
    return f"{quote}{requirement}{quote}"


def _argument(value):
    """A value behind ARG NAME=."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def defaults(config, render):
    """Build arguments that follow from config.yml; `-a NAME=VALUE` goes over them."""
    repository, version = render("CODEJAIL_SERVICE_REPOSITORY"), render("CODEJAIL_SERVICE_VERSION")
    directory = "requirements/sandbox"
    if int(tutor_version.split(".")[0]) < 22 or configuration.OTHER_SERVICE in repository.lower():
        # Before Verawood the list of the sandboxes' libraries was the LMS's.
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
    """What a COPY takes from the context, it takes from the source's stage."""
    *sources, target = match[1].split()
    return f"COPY --from=source {' '.join(f'/clone/{name}' for name in sources)} {target}"


def dockerfile(arguments):
    """The clone's Dockerfile with other defaults, and with its context from the archive."""
    text = clone.text("Dockerfile")
    text = re.sub(r"^COPY (?!--from)(.*)$", _from_source, text, flags=re.MULTILINE)
    for name, value in arguments.items():
        text, found = re.subn(
            rf"^ARG {name}=.*$", lambda _, name=name, value=value: f"ARG {name}={_argument(value)}", text, flags=re.M
        )
        assert found, name
    head, first, rest = text.partition("\nFROM ")
    return f"{head}\n{SOURCE_STAGE}{first}{rest}"
