# Every profile that this parser has the language for compiles without a warning and
# is loaded, enforced.
# shellcheck shell=bash source=apparmor/vm/guest/lib.sh
/payload/deploy/apparmor.sh compile
/payload/deploy/apparmor.sh load host
