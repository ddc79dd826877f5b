#!/usr/bin/env bash
# Boots a guest with a payload and brings back what the payload left.
#
#   apparmor/vm/boot.sh GUEST PAYLOAD RESULTS SECONDS [KERNEL-ARGUMENT...]
#
# GUEST is a directory that build.sh filled. PAYLOAD is a directory; the guest runs
# its run.sh as root. RESULTS gets the payload's disk as it was at the end, and the
# console. Exits with the status of run.sh, or with 97 if a boot does not come to an end
# within SECONDS. The guest's root disk is never changed.
#
# The guest is always emulated: a /dev/kvm may be there and not work.
set -euo pipefail

[ $# -ge 4 ] || {
    echo "usage: ${0##*/} GUEST PAYLOAD RESULTS SECONDS [KERNEL-ARGUMENT...]" >&2
    exit 64
}
guest=$1 payload=$2 results=$3 seconds=$4
shift 4

no_end=97
disk=$(mktemp "$guest/payload-XXXXXX.img")
trap 'rm -f "$disk"' EXIT
rm -rf "$results"
mkdir -p "$results"

megabytes=$(($(du -sm "$payload" | cut -f 1) * 13 / 10 + 64))

# Makes the payload's disk anew.
fresh_disk() {
    rm -f "$disk"
    mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$payload" "$disk" "${megabytes}M"
}

# Prints why the last boot does not count: the payload did not run, or the emulator broke the
# kernel. Prints nothing if the boot counts.
spoilt() {
    local panic
    panic=$(grep -a -m 1 'Kernel panic' "$results/console" || true)
    if ! grep -aq '^vm-init: started' "$results/console"; then
        echo "did not get to the guest's first program: $panic"
    elif [ -n "$panic" ] && grep -aq 'Oops: int3' "$results/console"; then
        echo "ended in a breakpoint of the kernel's own patching: $panic"
    fi
}

# The machine has only the devices that it needs: no network, no display, no defaults.
arguments=(
    -accel "tcg,thread=multi" -cpu max -m 2048 -smp 2
    -nodefaults -display none -monitor none -no-reboot
    -serial "file:$results/console"
    -kernel "$guest/vmlinuz"
    -append "console=ttyS0 root=/dev/nvme0n1 rw init=/vm-init panic=-1 no_timer_check quiet loglevel=1 $*"
    -drive "file=$guest/root.img,if=none,id=root,format=raw,snapshot=on"
    -drive "file=$disk,if=none,id=payload,format=raw,cache=unsafe"
    -device "nvme,id=disks,serial=codejail"
    -device "nvme-ns,drive=root,bus=disks,nsid=1"
    -device "nvme-ns,drive=payload,bus=disks,nsid=2"
)
# A boot may fail for reasons that have nothing to do with the payload:
# - A kernel without initramfs numbers disks in the order in which it finds them, and newer
#   kernels look for them in parallel. If it takes the payload for the root, it ends at once.
# - On a busy machine a kernel may panic because its emulated timers are late.
# - A kernel patches its code while it runs, and sets breakpoints there for a moment. The emulator
#   keeps translated code: its other processor may execute a breakpoint that is gone already.
# Such a boot is tried again, with a new disk. Everything else is a result.
boots_max=20
for ((boot = 1; boot <= boots_max; boot++)); do
    fresh_disk
    emulator=0
    timeout --kill-after=5 "$seconds" qemu-system-x86_64 "${arguments[@]}" </dev/null || emulator=$?
    [ "$emulator" -eq 0 ] || {
        echo "${0##*/}: the emulator ended with status $emulator" >&2
        break
    }
    reason=$(spoilt)
    [ -n "$reason" ] || break
    echo "${0##*/}: boot $boot $reason" >&2
done

debugfs -R "rdump / $results" "$disk" >/dev/null 2>&1
if [ -e "$results/status" ]; then
    exit "$(cat "$results/status")"
fi
echo "${0##*/}: the payload did not come to an end within $seconds s; the console's last lines:" >&2
tail -n 20 "$results/console" >&2
exit "$no_end"
