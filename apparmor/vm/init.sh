#!/bin/sh
# Process 1 of the guest: prepares a system on which a service can run, runs the payload's run.sh,
# writes the result beside it and powers off. Where systemd is process 1, this is one of its
# services, and the system is prepared already.
#
# The second disk is the payload. At the end of a boot it has the files `status` and `dmesg`.
# Without them the boot did not end well, whatever the emulator says.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

# By this line boot.sh knows that the kernel has started the guest's first program.
echo 'vm-init: started' >/dev/console
if [ $$ -eq 1 ]; then
    mount -t proc -o nosuid,nodev,noexec proc /proc
    mount -t sysfs sysfs /sys
    mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts /dev/shm
    ln -sfn /proc/self/fd /dev/fd
    mount -t devpts devpts /dev/pts
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mount -t securityfs securityfs /sys/kernel/security
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    ip link set lo up
fi
# Otherwise the kernel drops denials that come close together.
echo 0 >/proc/sys/kernel/printk_ratelimit

if mount -t ext4 /dev/nvme0n2 /payload; then
    (cd /payload && exec /bin/bash ./run.sh) </dev/null
    echo $? >/payload/status
    dmesg >/payload/dmesg
    cd / && sync
    umount /payload || mount -o remount,ro /payload
fi
sync
echo o >/proc/sysrq-trigger
sleep 60
