# `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The steps share one target directory and the machine's few cores.
.NOTPARALLEL:

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
CODEJAIL := $(TARGET)/release/codejail
TEST_VENV := $(TARGET)/test-venv
BENCH_VENV := $(TARGET)/bench-venv
RUFF := $(TEST_VENV)/bin/ruff

# If the service is root, sandboxes have uids of their own, and these may not be able to enter a
# checkout. Hosts that were prepared for the original have /sandbox/venv.
SANDBOX_VENV ?= $(if $(filter 0,$(shell id -u)),/sandbox/venv,$(TARGET)/sandbox/venv)
SANDBOX_PYTHON := $(abspath $(SANDBOX_VENV))/bin/python

# Other Pythons for tests. The original gets a /tmp of its own, so its Python must lie elsewhere.
PYTHONS := $(if $(filter /tmp/%,$(TARGET)),$(dir $(SANDBOX_VENV))pythons,$(TARGET))
CPYTHON_TESTS := $(PYTHONS)/suites

BIND ?= 127.0.0.1:8080

# For the tests: the service's binaries, the Python of its sandboxes, and a Python that has
# jsonschema and the real client.
export CODEJAIL_BIN := $(CODEJAIL)
export CODEJAIL_SABOTAGE_BIN := $(TARGET)/sabotage/release/codejail
export CODEJAIL_SANDBOX_PYTHON := $(SANDBOX_PYTHON)
export CODEJAIL_TEST_PYTHON := $(TEST_VENV)/bin/python
export CODEJAIL_TEST_PYTHONS := $(PYTHONS)
export CODEJAIL_TEST_PROMETHEUS := $(TARGET)/tools/prometheus

SHELL_FILES := .ci/run $(wildcard scripts/*.sh) $(shell find apparmor deploy tests -name '*.sh') \
    $(addprefix deploy/debian/,postinst prerm postrm)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: packages build sandbox-venv ## build the service and start it on 127.0.0.1:8080 (other: BIND=)
	@scripts/run.sh $(CODEJAIL) $(SANDBOX_PYTHON) $(BIND)

.PHONY: test
test: check build build-sabotage sandbox-venv test-pythons cpython-tests prometheus ## everything: check, then all tests, the real client's too
	cargo test --workspace --locked
	$(TEST_VENV)/bin/python -m pytest

# Makes venvs in target, with few libraries, of the other Pythons that pyenv has installed.
.PHONY: test-pythons
test-pythons:
	@scripts/test-pythons.sh $(CODEJAIL_TEST_PYTHONS)

# Puts Prometheus into target, also if the host has none installed. The rules are tested with it.
.PHONY: prometheus
prometheus:
	@scripts/prometheus.sh $(CODEJAIL_TEST_PROMETHEUS)

.PHONY: test-prometheus
test-prometheus: build sandbox-venv test-venv prometheus ## Debian's Prometheus scrapes a service under load and answers queries: half a minute
	$(TEST_VENV)/bin/python -m pytest tests/watching/live_prometheus.py

.PHONY: test-page
test-page: build sandbox-venv test-venv ## the page for people in headless Chromium: half a minute
	@scripts/install-packages.sh page
	$(TEST_VENV)/bin/python -m pytest tests/watching/live_page.py

# The CPython of the image's sandboxes. It is copied into the base image.
PYTHON_PREFIX ?= $(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/3.12.*)))

# A part of it: TESTS='tests/containers/live_life.py -k hup'. A test compares the results with the
# table of docs/containers.md; with CODEJAIL_TEST_WRITE=yes it writes that table.
.PHONY: test-docker
test-docker: build test-venv ## the image with Debian's Docker engine, started for it: modes, probes, compose; see docs/containers.md
	@scripts/install-packages.sh docker
	tests/containers/run.sh $(TARGET)/containers $(TEST_VENV) "$(PYTHON_PREFIX)" $(TESTS)

# Tutor's releases are installed into target/tutor. The images come from test-docker: `make
# test-tutor ENGINE=` leaves the engine out.
ENGINE ?= yes
.PHONY: test-tutor
test-tutor: build test-venv ## the Tutor plugin: rendered with each release, compared with the one it replaces, started in an engine
	@scripts/install-packages.sh docker
	tests/tutor/tools.sh $(TARGET)/tutor
	CODEJAIL_TEST_TUTOR=$(TARGET)/tutor $(TEST_VENV)/bin/python -m pytest tests/tutor/live_rendering.py
	$(if $(ENGINE),tests/tutor/run.sh $(TARGET)/containers $(TARGET)/tutor $(TEST_VENV) "$(PYTHON_PREFIX)")

# Needs root: the checklist is followed in a root that boots a systemd of its own.
.PHONY: test-migrate
test-migrate: build deb sandbox-venv test-venv ## the original's settings imported, and docs/migrate.md's checklist followed: two minutes
	$(TEST_VENV)/bin/python -m pytest tests/migrate
	@scripts/install-packages.sh vm
	tests/migrate/in-root.sh $(TARGET)/dist/out $(TARGET)/migrate

.PHONY: soak
soak: build sandbox-venv ## what takes minutes: a million requests, hundreds of hostile clients
	cargo test --locked -p codejail-system-tests load:: -- --ignored --nocapture --test-threads=1

# PYTHON names another CPython than Debian's, for the sandboxes and for the original.
.PHONY: fidelity
fidelity: build sandbox-venv test-venv ## the same answers as the original's? All cases (other: PYTHON=, ONLY='word ...')
	$(TEST_VENV)/bin/python tests/fidelity --python $(abspath $(or $(PYTHON),$(SANDBOX_PYTHON))) $(ONLY)

# CPython's own tests. Those of Debian's Python come in a package; a PYTHON of pyenv's has its own.
# A part: ONLY='test_os ...'
.PHONY: fidelity-suites
fidelity-suites: build test-venv cpython-tests ## CPython's own tests in sandboxes and on the original; all of them together take long and were never run (other: PYTHON=, ONLY='test_os ...')
	$(TEST_VENV)/bin/python tests/suites $(if $(PYTHON),--python $(abspath $(PYTHON)),\
	    --python $(CPYTHON_TESTS)/venv/bin/python --modules-at $(CPYTHON_TESTS)/venv/lib/python3.*/site-packages/suites) \
	    --write $(TARGET)/suites/report.md $(ONLY)

.PHONY: cpython-tests
cpython-tests:
	@scripts/cpython-tests.sh $(CPYTHON_TESTS)

.PHONY: check
check: fmt lint docs ## what needs no running service: formatting, lints, documentation

.PHONY: fmt
fmt: test-venv ## formatting of Rust and Python
	cargo fmt --all --check
	$(RUFF) format --check .

.PHONY: lint
lint: test-packages test-venv ## clippy, ruff, shellcheck, AppArmor's parser
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo check --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --locked
	$(RUFF) check .
	shellcheck $(SHELL_FILES)
	deploy/apparmor.sh compile

.PHONY: docs
docs: ## the API documentation, without a warning
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

.PHONY: build
build: ## the release binary and its worker module
	cargo build --release --workspace --locked

# A build in which layers can be left out. It is only for the tests that show what each layer stops.
.PHONY: build-sabotage
build-sabotage:
	cargo build --release --locked --target-dir $(TARGET)/sabotage \
	    --package codejail --package codejail-worker --features codejail-protocol/sabotage

.PHONY: sabotage
sabotage: build build-sabotage sandbox-venv ## which layer stops which attack: runs all, writes docs/sabotage.md
	CODEJAIL_SABOTAGE=full cargo test --locked -p codejail-api-tests --test probes -- sabotage:: --nocapture

# It takes the whole machine for some ten minutes, and with SCALE=10 gigabytes of kernel memory
# where nothing bounds it.
.PHONY: victim
victim: build sandbox-venv ## what attacks cost a well-behaved client and leave in the kernel; the service is root, then not (other numbers: SCALE=0.1; a part: ONLY='--group costs')
	CODEJAIL_TEST_VICTIM_SCALE=$(or $(SCALE),1) CODEJAIL_TEST_VICTIM_ONLY='$(ONLY)' cargo test --locked -p codejail-api-tests --test probes -- \
	    --ignored --nocapture --test-threads=1 no_attack_

# A part of it, or a short run, is written to target/bench: BENCH='--quick --only latency'. The
# original is installed in a mount namespace, which takes root. BEFORE=BINARY has an earlier build
# measured beside this one, as `before`.
.PHONY: bench
bench: build sandbox-venv test-venv bench-venv ## measures codejail and the original, writes docs/bench (a part: BENCH='--quick --only latency'; an earlier build too: BEFORE=; several Pythons: PYTHON='A B')
	$(TARGET)/release/codejail-benches --codejail $(CODEJAIL) \
	    $(foreach python,$(or $(PYTHON),$(SANDBOX_PYTHON)),--python $(abspath $(python))) \
	    --test-python $(TEST_VENV)/bin/python --original-python $(BENCH_VENV)/bin/python \
	    $(if $(filter 0,$(shell id -u)),,--without-original) $(if $(BEFORE),--before $(abspath $(BEFORE))) \
	    $(if $(BENCH),--write $(TARGET)/bench $(BENCH),--write docs/bench --into README.md)

.PHONY: bench-venv
bench-venv: test-packages
	@scripts/test-venv.sh $(BENCH_VENV) benches/requirements.txt

# Needs root, to make the guests. One suite only: SUITES=bookworm
.PHONY: test-apparmor
test-apparmor: build build-sabotage ## AppArmor enforced, in guests that are made and booted for it
	@scripts/install-packages.sh vm
	apparmor/vm/test.sh $(TARGET)/release $(TARGET)/sabotage/release $(TARGET)/vm $(SUITES)

# The files of a release. The tools take minutes to build, once.
PACKAGE_TOOLS := $(addprefix $(TARGET)/tools/bin/,cargo-deb cargo-about cargo-cyclonedx)

.PHONY: deb
deb: package-packages $(PACKAGE_TOOLS) ## the Debian package, in target/dist/out, without a word from lintian
	scripts/package.sh deb $(TARGET)
	lintian --fail-on error,warning --tag-display-limit 0 $(TARGET)/dist/out/codejail_*.deb

.PHONY: release
release: package-packages $(PACKAGE_TOOLS) ## package, tarball, licences, SBOM and checksums, in target/dist/out
	scripts/package.sh release $(TARGET)

# Needs root: the package is installed in a root that is entered by chroot.
.PHONY: test-deb
test-deb: deb ## the package in a fresh Debian: install, run, probe, upgrade, purge
	@scripts/install-packages.sh vm
	deploy/debian/test/in-root.sh $(TARGET)/dist/out $(TARGET)/deb-test

# Needs root, as test-apparmor does.
.PHONY: test-host
test-host: deb ## the package on hosts that boot systemd and enforce AppArmor, in guests
	@scripts/install-packages.sh vm
	deploy/debian/test/on-hosts.sh $(TARGET)/dist/out $(TARGET)/vm $(SUITES)

.PHONY: test-release
test-release: package-packages $(PACKAGE_TOOLS) ## two clones in two directories give the same bytes
	scripts/test-release.sh $(TARGET)

.PHONY: package-packages
package-packages:
	@scripts/install-packages.sh package

$(TARGET)/tools/bin/cargo-deb:
	cargo install --locked --root $(TARGET)/tools cargo-deb@3.8.0

$(TARGET)/tools/bin/cargo-about:
	cargo install --locked --root $(TARGET)/tools --features cli cargo-about@0.9.3

$(TARGET)/tools/bin/cargo-cyclonedx:
	cargo install --locked --root $(TARGET)/tools cargo-cyclonedx@0.5.9

# Not part of `test`, nor is `deny`: building the tools takes minutes.
.PHONY: fuzz
fuzz: test-packages $(TARGET)/tools/bin/cargo-fuzz ## each fuzz target for a minute (other: FUZZ_SECONDS=)
	for target in frames json_scan; do \
	    RUSTC_BOOTSTRAP=1 $(TARGET)/tools/bin/cargo-fuzz run $$target -- -max_total_time=$(or $(FUZZ_SECONDS),60); \
	done

$(TARGET)/tools/bin/cargo-fuzz:
	cargo install --locked --root $(TARGET)/tools cargo-fuzz@0.13.2

.PHONY: deny
deny: $(TARGET)/tools/bin/cargo-deny ## dependencies: bans, licenses, sources
	$< check bans licenses sources

$(TARGET)/tools/bin/cargo-deny:
	cargo install --locked --root $(TARGET)/tools cargo-deny@0.20.2

.PHONY: packages
packages: ## Debian packages needed to build and run (not root: prints the line to type)
	@scripts/install-packages.sh run

.PHONY: test-packages
test-packages:
	@scripts/install-packages.sh test

.PHONY: sandbox-venv
sandbox-venv: packages ## the Python of the sandboxes, with the course authors' libraries
	@deploy/sandbox-venv.sh create $(SANDBOX_VENV) --requirements deploy/requirements/verawood-python3.11.txt

.PHONY: test-venv
test-venv: test-packages
	@scripts/test-venv.sh $(TEST_VENV)

.PHONY: clean
clean: ## remove what was built here
	rm -rf $(TARGET)
