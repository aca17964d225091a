#!/bin/busybox sh
# The guest's first program: makes a root file system of the host's files, which stay as they are, under a layer that
# lives in memory, and goes on there.
# The shell finds its own commands by /proc/self/exe.
/bin/busybox mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module" || exit 1; done
mount -t virtiofs -o ro host /host || exit 1
mount -t tmpfs layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work root /root || exit 1
mount --move /dev /root/dev
mount --move /proc /root/proc
exec /bin/busybox switch_root /root /bin/busybox sh "$HOLDFAST_REPOSITORY/test/guest/agent.sh"
