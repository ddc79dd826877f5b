#!/usr/bin/env bash
# Loads, shows and unloads codejail's AppArmor profiles.
#
#   deploy/apparmor.sh load [host|container]     install them below /etc/apparmor.d,
#                                                so that they are loaded at boot, and
#                                                load them now, enforced; with
#                                                --where-enabled at the end a kernel
#                                                without AppArmor is no failure
#   deploy/apparmor.sh status [host|container]   each profile and its mode; fails
#                                                unless all are enforced
#   deploy/apparmor.sh unload [host|container]   take them out of the kernel and out of
#                                                /etc/apparmor.d
#   deploy/apparmor.sh compile                   compile all of them, load none
#   deploy/apparmor.sh put [host|container]      for the package's scripts: put the files
#                                                below /etc/apparmor.d, and load nothing
#   deploy/apparmor.sh take_away                 for the package's scripts: unload the
#                                                profiles, and remove these files
#
# `host` (the default) has a profile for each process. `container` is the profile that a container
# runtime applies; it contains the profiles of workers and sandboxes. The paths are in
# /etc/apparmor.d/tunables/codejail. This script makes that file, and never overwrites it.
set -euo pipefail
# Debian has the parser in /usr/sbin, which may not be in a user's PATH.
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
installed=/etc/apparmor.d
# The package has the profiles here, and links to them in /etc/apparmor.d.
packaged=/usr/share/codejail/apparmor
profiles=$here/../apparmor
[ "$here" != /usr/lib/codejail ] || profiles=$packaged
loaded=/sys/kernel/security/apparmor/profiles

usage() {
    echo "usage: ${0##*/} load [host|container [--where-enabled]]|status|unload [host|container] | compile" >&2
    exit 64
}
fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

command=${1-} set=${2-host} unless=${3-}
case $set in
host)
    files=(codejail-supervisor codejail-spawner codejail-worker codejail-sandbox)
    names=("${files[@]}")
    ;;
container)
    files=(openedx_codejail_service)
    names=("${files[0]}" "${files[0]}//codejail_worker" "${files[0]}//codejail_sandbox")
    ;;
*) usage ;;
esac

need_parser() {
    command -v apparmor_parser >/dev/null ||
        fail "apparmor_parser is missing: apt-get install apparmor"
}

enabled() { [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; }

need_kernel() {
    enabled || fail "this kernel enforces no AppArmor: boot one that has it, with apparmor=1 and apparmor among lsm="
    [ "$(id -u)" -eq 0 ] || fail "only root may do that"
    [ -e "$loaded" ] || fail "$loaded is missing: mount -t securityfs securityfs /sys/kernel/security"
}

# The language of the profiles: that of AppArmor 4, if the parser knows it.
language() {
    if [ -e "$installed/abi/4.0" ]; then echo 4; else echo 3; fi
}

source_of() {
    case $1 in
    openedx_codejail_service) echo "$profiles/compat/$1" ;;
    *) echo "$profiles/$(language)/$1" ;;
    esac
}

# Copies a file to where the parser looks for it. For the package's files it makes links: so an
# upgrade changes them. If an operator replaced a link by a file, that file stays.
put() { # SOURCE DESTINATION
    if [ "$profiles" != "$packaged" ]; then
        install -m 644 "$1" "$2"
    elif [ -L "$2" ] || [ ! -e "$2" ]; then
        ln -sfn "$1" "$2"
    else
        echo "${0##*/}: $2 is not the package's: left as it is" >&2
    fi
}

# Puts the profiles where the host loads them at boot.
put_all() {
    local file
    need_parser
    install -d "$installed/tunables" "$installed/codejail.d"
    for file in "$profiles"/codejail.d/*; do
        put "$file" "$installed/codejail.d/${file##*/}"
    done
    [ -e "$installed/tunables/codejail" ] ||
        install -m 644 "$profiles/tunables/codejail" "$installed/tunables/codejail"
    for file in "${files[@]}"; do
        put "$(source_of "$file")" "$installed/$file"
    done
}

load() {
    local file
    need_parser
    if [ "$unless" = --where-enabled ] && ! enabled; then
        echo "${0##*/}: this kernel enforces no AppArmor: no profile is loaded, and none will confine anything"
        return
    fi
    need_kernel
    put_all
    for file in "${files[@]}"; do
        # Removes the mark that aa-complain leaves: with it each boot would load the profile in
        # complain mode.
        rm -f "$installed/force-complain/$file" "$installed/disable/$file"
        apparmor_parser --replace "$installed/$file" || fail "$installed/$file was not loaded"
    done
    status
}

status() {
    local name mode bad=0
    need_kernel
    for name in "${names[@]}"; do
        # Search for fixed text: some characters of a name have a meaning in a pattern.
        mode=$(grep -F "$name (" "$loaded" | while IFS= read -r line; do
            [ "${line% (*}" != "$name" ] || echo "${line##* (}"
        done || true)
        mode=${mode%)}
        printf '%-48s %s\n' "$name" "${mode:-missing}"
        [ "$mode" = enforce ] || bad=1
    done
    return "$bad"
}

unload() {
    local file
    need_parser
    if [ "$unless" = --where-enabled ] && ! enabled; then
        echo "${0##*/}: this kernel enforces no AppArmor: no profile is loaded, and none will confine anything"
        return
    fi
    need_kernel
    for file in "${files[@]}"; do
        [ -e "$installed/$file" ] || continue
        if grep -qF "$file (" "$loaded"; then
            apparmor_parser --remove "$installed/$file" || fail "$file was not unloaded"
        fi
        rm -f "$installed/$file"
    done
}

# Unloads the profiles of the package, and removes its links. The package's removal calls this.
take_away() {
    local link
    while IFS= read -r link; do
        if grep -qsF "${link##*/} (" "$loaded" && command -v apparmor_parser >/dev/null; then
            apparmor_parser --remove "$link" || fail "$link was not unloaded"
        fi
    done < <(find "$installed" -maxdepth 1 -lname "$packaged/*")
    find "$installed" -maxdepth 2 -lname "$packaged/*" -delete
    rmdir --ignore-fail-on-non-empty "$installed/codejail.d" 2>/dev/null || true
}

# Compiles the profiles without a kernel: the kernel's features come from a file.
compile() {
    local file
    need_parser
    for file in "$profiles"/{3,4,compat}/*; do
        abi=$(sed -n 's/^abi <\(.*\)>,$/\1/p' "$file")
        if [ ! -e "$installed/$abi" ]; then
            echo "$file is not compiled: this parser has no $abi ($(apparmor_parser --version | head -n 1))"
            continue
        fi
        apparmor_parser --skip-kernel-load --skip-cache --skip-read-cache --warn=all --Werror \
            --kernel-features "$installed/$abi" --Include "$profiles" "$file" ||
            fail "$file does not compile without a warning"
    done
}

case $command in
load | status | unload | compile | take_away) "$command" ;;
put) put_all ;;
*) usage ;;
esac
