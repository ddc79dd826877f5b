# Each profile whose language this parser knows compiles without a warning, and is loaded in enforce
# mode.
# shellcheck shell=bash source=apparmor/vm/guest/lib.sh
/payload/deploy/apparmor.sh compile
/payload/deploy/apparmor.sh load host
