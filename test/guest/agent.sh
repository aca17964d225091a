#!/bin/busybox sh
# Process 1 of the guest once its root is there: does the commands that come in by its serial ports, one at a time each.
# A command is one line, `WORD SCRIPT`, the script in base64. The answer is a line `WORD begin`, what the script prints,
# a line break and a line `WORD end STATUS`. When nobody is at the other end of the ports, the guest switches itself off.
export PATH="$HOLDFAST_REPOSITORY/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export HOME=/root LANG=C.UTF-8 NODE_COMPILE_CACHE=/run/compile-cache

mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm /lib/modules /.repository
mount --bind "$HOLDFAST_REPOSITORY" /.repository
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
# A checkout below /tmp is covered now.
[ -e "$HOLDFAST_REPOSITORY/package.json" ] || {
  mkdir -p "$HOLDFAST_REPOSITORY"
  mount --bind /.repository "$HOLDFAST_REPOSITORY"
}
ln -sfn /proc/self/fd /dev/fd
ln -sfn "$HOLDFAST_MODULES" "/lib/modules/$(uname -r)"
ip link set lo up

# Each port can be opened once.
serve() {
  exec 3<>"$1"
  echo ready >&3
  while read -r word script <&3; do
    printf '%s begin\n' "$word" >&3
    printf '%s' "$script" | base64 -d >"/run/$word"
    /bin/sh "/run/$word" </dev/null >&3 2>&1 3>&-
    printf '\n%s end %d\n' "$word" "$?" >&3
    rm -f "/run/$word"
  done
}

for port in /sys/class/virtio-ports/*; do
  case $(cat "$port/name") in
    stream) export HOLDFAST_GUEST_STREAM="/dev/${port##*/}" ;;
  esac
done
for port in /sys/class/virtio-ports/*; do
  case $(cat "$port/name") in
    command-*) serve "/dev/${port##*/}" & ;;
  esac
done
wait
sync
echo o >/proc/sysrq-trigger
sleep 60
