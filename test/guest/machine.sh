#!/bin/sh
# Shows a guest the host's files, which it cannot write, and becomes the guest. Process 1 of namespaces of its own, so
# that nothing is left when it ends, however that is.
# Usage: machine.sh DIR FILE_SYSTEM... -- PROGRAM...    (an empty directory; mount points besides /; what runs the guest)
set -eu
dir=$1
shift

show() {
  mount --bind "$1" "$dir/host$1"
  mount -o remount,bind,ro "$dir/host$1"
}

mkdir "$dir/host"
show /
while [ "$1" != -- ]; do
  show "$1"
  shift
done
shift

/usr/lib/qemu/virtiofsd --socket-path="$dir/files" -o source="$dir/host" -o cache=always -o sandbox=chroot \
  >"$dir/virtiofsd.log" 2>&1 &
until [ -S "$dir/files" ]; do
  kill -0 $! 2>/dev/null || { cat "$dir/virtiofsd.log" >&2; exit 1; }
  sleep 0.02
done
exec "$@"
