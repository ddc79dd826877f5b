"""All that documents name exists: files, links, make targets, names of the code, metrics, events, statuses."""

import functools
import re

import pytest
from conftest import TREE, tracked

# A benchmark writes the first document, and the second one has names of earlier versions. So
# neither is about the tree of today.
NOT_OF_TODAY = ("docs/bench/results.md", "CHANGELOG.md")
DOCUMENTS = [path for path in tracked("*.md") if str(path) not in NOT_OF_TODAY]
# Half of the names in this document are gunicorn's.
OTHERS = ("docs/gunicorn.md",)
# Names that are not ours and that no file of the tree uses.
NAMES_OF_OTHERS = {
    # Names of the kernel.
    "denied_mask", "get_futex_key", "io_uring_disabled", "ptrace_scope", "seccomp_cache_prepare",
    # Names of Python and C.
    "PyObject_SetArenaAllocator", "follow_symlinks", "pthread_join",
    # Names of 2U's image and of PyO3.
    "APP_PY_VER", "PYO3_CONFIG_FILE", "SAND_UID",
    # A crate that codejail does not use.
    "serde_yaml",
    # Tests of the original.
    "test_deny_large_allocate", "test_support_matplotlib",
    # NAME stands for any name.
    "NAME_max",
}  # fmt: skip


@functools.cache
def text(path):
    return (TREE / path).read_text(encoding="utf-8")


@functools.cache
def words_of_the_tree():
    """Every word of every file that is no document."""
    suffixes = (".rs", ".py", ".toml", ".sh", ".yml", ".html", ".txt", ".json", ".service", ".conf", ".h", "")
    files = [path for path in tracked("*") if path.suffix in suffixes and path.parts[0] != "docs"]
    assert len(files) > 300, "they are elsewhere"
    found = set()
    for path in files:
        found |= set(re.findall(r"\w+", (TREE / path).read_text(encoding="utf-8", errors="replace")))
    return found


def prose(document):
    """The document without blocks of code: these have what a reader types, not names of the tree."""
    kept = re.sub(r"^```.*?^```", "", text(document), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^(?: {4}|\t)(?! *(?:-|\d+\.) ).*$", "", kept, flags=re.MULTILINE)


def spans(document):
    """The texts between backticks, each on one line."""
    return re.findall(r"`([^`\n]+)`", prose(document))


def anchors(document):
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document, written):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", written):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (TREE / document.parent / name) if name else TREE / document
        there = path.exists() and (not anchor or anchor in anchors(path.resolve().relative_to(TREE)))
        wrong += [] if there else [target]
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_link_leads_somewhere(document):
    assert broken_links(document, text(document)) == []


def test_a_link_to_nowhere_would_be_found():
    readme = DOCUMENTS[[str(path) for path in DOCUMENTS].index("docs/README.md")]
    written = "[a](log.md) [b](logs.md) [c](log.md#each-execution) [d](log.md#each) [e](https://example.org/x)"
    assert broken_links(readme, written) == ["logs.md", "log.md#each"]


def test_the_index_has_every_document_of_its_folder():
    listed = re.findall(r"^- \[(.+?)\]\((.+?)\)", text("docs/README.md"), re.MULTILINE)
    listed += re.findall(r" and \[(.+?)\]\((.+?)\)", text("docs/README.md"))
    named = {target for _, target in listed}
    here = {path.name for path in tracked("docs/*.md") if len(path.parts) == 2}
    assert here - named == {"README.md"}


def missing_files(written):
    """Paths in the text that no file of the tree has, neither as its path nor as the end of its path."""
    kinds = r"rs|py|sh|md|toml|yml|html|json|service|socket|conf|txt"
    paths = re.findall(rf"(?<![\w/.*])(?:[\w@-]+/)*[\w@-]+\.(?:{kinds})(?![\w.*])", written)
    return [name for name in paths if not any(f"/{known}".endswith(f"/{name}") for known in known_files())]


@functools.cache
def known_files():
    return [str(path) for path in tracked("*")]


# Files that are not in the tree: files that are made or installed, and files of a client, of 2U's
# image and of Tutor. The files below `requirements/` are the original's.
MADE = {
    "codejail.toml", "page.json", "apparmor.service", "THIRD-PARTY.txt", "base.txt", "tutor.py",
    "plugins/codejail/apps/codejail/codejail.yml",
}  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_file_that_a_document_names_is_there(document):
    named = [name for span in spans(document) if re.fullmatch(r"[\w@./*-]+", span) for name in missing_files(span)]
    assert [name for name in named if name not in MADE and not name.startswith("requirements/")] == []


def test_a_file_that_is_not_there_would_be_found():
    assert missing_files("worker/src/sandbox.rs") == []
    assert missing_files("sandbox.rs") == []
    assert missing_files("worker/src/sandboxes.rs") == ["worker/src/sandboxes.rs"]
    assert missing_files("box.rs") == ["box.rs"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_make_target_that_a_document_names_is_there(document):
    targets = set(re.findall(r"^([\w-]+):(?!=)", text("Makefile"), re.MULTILINE))
    assert len(targets) > 20
    typed = [span for span in spans(document) if re.search(r"(?:^|=\S+ )make ", span)]
    typed += re.findall(r"^ {4}(make .*)$", text(document), re.MULTILINE)
    named = {word for line in typed for word in targets_of(line)}
    assert named - targets == set()


def targets_of(line):
    """The words of a command after `make` that are neither variables nor options."""
    command = re.sub(r"'[^']*'|#.*", "", line).split("make ", 1)[1]
    return [word for word in command.split() if re.fullmatch(r"[a-z][\w-]*", word)]


def test_the_targets_of_a_command_are_found():
    assert targets_of("PLAN=a make test-deb test-host ONLY='x y' -j2  # each") == ["test-deb", "test-host"]


def test_exit_statuses_are_those_of_the_program():
    main, boot, run = (text(f"supervisor/src/{name}.rs") for name in ["main", "boot/error", "commands/run_file"])
    statuses = {int(number) for number in re.findall(r"const EX_\w+: u8 = (\d+);", main)}
    for source in [boot, run]:
        body = re.search(r"fn exit_status\(&self\) -> u8 \{(.*?)\n    \}", source, re.DOTALL)[1]
        statuses |= {int(number) for number in re.findall(r"=> (\d+),", body)}
    section = text("docs/operating.md").split("## Exit statuses\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| (\d+) \|", section, re.MULTILINE)) == {str(number) for number in statuses | {0, 1}}


def variables():
    """The variables of the configuration, which a unit test compares with the program's."""
    return set(re.findall(r"^\| `[\w.]+` \| `(CODEJAIL_\w+)` \|", text("docs/configuration.md"), re.MULTILINE))


@functools.cache
def known_names():
    words = words_of_the_tree()
    calls = {word.removeprefix("SYS_") for word in words}
    return words | calls | variables() | NAMES_OF_OTHERS


def unknown_words(written):
    """Names in the text's spans that no file of the tree has. A star stands for anything."""
    wrong = []
    for span in written:
        for name in re.findall(r"(?<![\w.*\"$-])[a-zA-Z]\w*_[\w*]*\w(?![\w*]|\.\.\.|\.(?:py|rs|md|txt)\b)", span):
            pattern = re.compile(re.escape(name).replace(r"\*", r"\w*"))
            known = name in known_names() or (
                "*" in name and any(pattern.fullmatch(word) for word in words_of_the_tree())
            )
            wrong += [] if known else [name]
    return wrong


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if str(path) not in OTHERS], ids=str)
def test_a_name_of_the_code_that_a_document_names_is_there(document):
    assert sorted(set(unknown_words(spans(document)))) == []


def test_a_name_that_is_not_there_would_be_found():
    gone = "an_old_" + "name_of_a_test"
    assert unknown_words([gone, "queue_wait_max_ms", "a_worker_that_*_is_replaced", "limits." + "CPU_s"]) == [gone]


def test_keys_with_a_table_are_those_of_the_configuration():
    keys = set(re.findall(r"^\| `([\w.]+)` \|", text("docs/configuration.md"), re.MULTILINE))
    assert len(keys) > 50
    tables = {key.split(".")[0] for key in keys if "." in key}
    form = re.compile(rf"(?:{'|'.join(sorted(tables))})\.\w+")
    named = {span.split(" ")[0] for path in DOCUMENTS for span in spans(path) if form.match(span)}
    named = {name for name in named if re.fullmatch(r"[\w.]+", name) and not name.endswith((".rs", ".py", ".md"))}
    assert len(named) > 20
    assert named - keys - NO_KEYS == set()


# `NAME` stands for a layer, the kernel has the second one, and the operator chooses the keys of the
# third one.
NO_KEYS = {"layers.NAME", "cgroup.kill", "python.env"}


def test_events_are_those_of_the_service():
    sources = "".join(text(path) for path in tracked("*.rs"))
    events = set(re.findall(r'event(?: = |"\), )"(\w+)"', sources))
    named = {name for path in DOCUMENTS for name in re.findall(r'`event="(\w+)"`', text(path))}
    table = text("docs/log.md").split("| event | when |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    listed = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert len(listed) > 25
    assert (named | listed) - events == set()
    of_supervisor = "".join(text(path) for path in tracked("supervisor/src/*.rs"))
    assert set(re.findall(r'event = "(\w+)"', of_supervisor)) - listed == set(), "docs/log.md lists every event"
