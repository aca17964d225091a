/*
 * What Holdfast's work costs at the least: the system calls alone. Prints how many nanoseconds each round took.
 *
 *   calls attach SOURCE TARGET ROUNDS   a mountpoint, a bind mount with nosuid and nodev, and both taken back
 *   calls create DIRECTORY ROUNDS       two directories and a record of 4 KiB, durable
 *   calls record DIRECTORY ROUNDS       the record alone, in a file that has its blocks
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 4096
#define RECORDS 256
#define NAME_BYTES 64

static long must(long result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void attach_and_detach(const char *source, const char *target) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  must(mkdir(target, 0755), "mkdir");
  int tree = must(syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), "open_tree");
  must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes), "mount_setattr");
  must(syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
  close(tree);
  must(syscall(SYS_umount2, target, 0), "umount2");
  must(rmdir(target), "rmdir");
}

static void append(int log, long round) {
  static char record[RECORD_BYTES];
  must(pwrite(log, record, sizeof record, round % RECORDS * RECORD_BYTES), "pwrite");
  must(fdatasync(log), "fdatasync");
}

/* A file whose blocks are written already, as those of a log are that is used over and over. */
static int open_log(int directory) {
  int log = must(openat(directory, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600), "openat");
  static char records[RECORDS * RECORD_BYTES];
  must(pwrite(log, records, sizeof records, 0), "pwrite");
  must(fsync(log), "fsync");
  return log;
}

static void create(int directory, int log, long round) {
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "%d-%ld", getpid(), round);
  must(mkdirat(directory, name, 0755), "mkdirat");
  int volume = must(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "openat");
  must(mkdirat(volume, "content", 0755), "mkdirat");
  must(fsync(volume), "fsync");
  close(volume);
  must(fsync(directory), "fsync");
  append(log, round);
}

static long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *what = argv[1];
  long rounds = atol(argv[argc - 1]);
  int attaches = strcmp(what, "attach") == 0;
  int creates = strcmp(what, "create") == 0;
  int directory = attaches ? -1 : must(open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open");
  int log = attaches ? -1 : open_log(directory);
  for (long round = 0; round < rounds; round += 1) {
    long started = now_ns();
    if (attaches) attach_and_detach(argv[2], argv[3]);
    else if (creates) create(directory, log, round);
    else append(log, round);
    printf("%ld\n", now_ns() - started);
  }
  return 0;
}
