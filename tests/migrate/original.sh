#!/usr/bin/env bash
# Installs the original by hand in the root that is the argument: accounts, sudoers, a venv,
# settings, a unit. In that root /test/wheels has the packages for the venv, and /test/clone the
# clone.
set -euo pipefail

root=$1
run() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

run useradd --uid 206593644 --no-create-home --shell /usr/sbin/nologin app 2>/dev/null
run useradd --uid 349590265 --no-create-home --shell /usr/sbin/nologin sandbox 2>/dev/null
cat >"$root/etc/sudoers.d/codejail" <<'SUDOERS'
app ALL=(sandbox) SETENV:NOPASSWD:/sandbox/venv/bin/python
app ALL=(sandbox) SETENV:NOPASSWD:/usr/bin/find
app ALL=(ALL) NOPASSWD:/usr/bin/pkill
SUDOERS
chmod 440 "$root/etc/sudoers.d/codejail"

run python3 -m venv /edx/venv
run /edx/venv/bin/pip install --quiet --disable-pip-version-check --no-index --find-links /test/wheels --no-deps \
    --requirement /test/original.txt

mkdir -p "$root/edx/etc"
cat >"$root/edx/etc/codejail.yml" <<'YAML'
CODEJAIL_ENABLED: true
SECRET_KEY: not-a-secret
CODE_JAIL:
  python_bin: /sandbox/venv/bin/python
  user: sandbox
  limits: {CPU: 2, REALTIME: 2.5, VMEM: 536870912, FSIZE: 1048576, NPROC: 15, PROXY: 0}
  limit_overrides:
    course-v1:org+course+run: {REALTIME: 5, CPU: 5}
YAML
cat >"$root/etc/systemd/system/codejail-service.service" <<'UNIT'
[Service]
User=app
Environment=CODEJAIL_SERVICE_CFG=/edx/etc/codejail.yml
WorkingDirectory=/test/clone/tests/migrate
ExecStart=/edx/venv/bin/gunicorn --bind 127.0.0.1:8080 --workers 2 original_by_hand:application
[Install]
WantedBy=multi-user.target
UNIT
run systemctl enable --quiet codejail-service
