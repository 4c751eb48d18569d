/*
 * A disk in memory that remembers in which order it was written and flushed: a file system in user space (FUSE) with five files.
 *
 *   disk     the disk's bytes; a loop device lies on it
 *   mark     what is written here goes into the record as it is, between the writes and flushes before and after it
 *   base     the same bytes as `disk`; writing here is neither recorded nor undone
 *   trial    the same bytes once more; writing here is not recorded, and is undone with what was written to `disk`
 *   control  one letter a write:
 *              S  the record begins: what the disk holds now is its beginning
 *              E  the record ends, and is in its file; the disk holds the beginning again, and what is written from now on can be undone
 *              U  undoes what was written to `disk` and `trial` since E or the last U
 *              w  writes to `disk` fail from now on with EIO and change nothing, f flushes, r reads; o  nothing fails any more
 *
 * The record is a sequence of entries: kind ('W' write, 'F' flush, 'M' mark), 7 zero bytes, the offset and the length as 64-bit little-endian
 * numbers, and so many bytes. Requests are served one at a time, so the order of entries is an order in which the disk can have seen them.
 *
 * Usage: recording-disk MEBIBYTES RECORD MOUNTPOINT [FUSE options]
 */

#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096

enum file { NONE, DISK, MARK, BASE, TRIAL, CONTROL };
static const char *const names[] = {"", "disk", "mark", "base", "trial", "control"};

static uint64_t disk_bytes;
static uint8_t *disk;
static uint8_t *beginning;
static FILE *record;
static int is_recording;
static int is_undoing;
/* The letter of what fails, or 'o'. */
static char failing = 'o';
/* Of each page that was written since the last undo, what it held before. */
static uint8_t **saved;

static enum file file_of(const char *path) {
  for (int file = DISK; file <= CONTROL; file++)
    if (path[0] == '/' && strcmp(path + 1, names[file]) == 0) return file;
  return NONE;
}

static uint8_t *zeros(void) {
  uint8_t *memory = mmap(NULL, disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) abort();
  return memory;
}

static int is_zero(const uint8_t *bytes) {
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

/* Pages of zeros are left alone, so that an empty disk takes no memory. */
static void copy_disk(uint8_t *to, const uint8_t *from) {
  for (uint64_t at = 0; at < disk_bytes; at += PAGE_BYTES)
    if (!is_zero(from + at) || !is_zero(to + at)) memcpy(to + at, from + at, PAGE_BYTES);
}

static int add(char kind, uint64_t offset, const void *bytes, uint64_t length) {
  uint8_t head[24] = {(uint8_t)kind};
  memcpy(head + 8, &offset, 8);
  memcpy(head + 16, &length, 8);
  if (fwrite(head, sizeof head, 1, record) != 1) return -EIO;
  if (length > 0 && fwrite(bytes, length, 1, record) != 1) return -EIO;
  return 0;
}

static void save(uint64_t offset, uint64_t length) {
  for (uint64_t page = offset / PAGE_BYTES; page * PAGE_BYTES < offset + length; page++) {
    if (saved[page] != NULL) continue;
    saved[page] = malloc(PAGE_BYTES);
    if (saved[page] == NULL) abort();
    memcpy(saved[page], disk + page * PAGE_BYTES, PAGE_BYTES);
  }
}

static void undo(void) {
  for (uint64_t page = 0; page < disk_bytes / PAGE_BYTES; page++) {
    if (saved[page] == NULL) continue;
    memcpy(disk + page * PAGE_BYTES, saved[page], PAGE_BYTES);
    free(saved[page]);
    saved[page] = NULL;
  }
}

static int command(char letter) {
  switch (letter) {
    case 'S':
      copy_disk(beginning, disk);
      is_recording = 1;
      return 0;
    case 'E':
      is_recording = 0;
      if (fflush(record) != 0) return -EIO;
      copy_disk(disk, beginning);
      is_undoing = 1;
      return 0;
    case 'U':
      undo();
      return 0;
    case 'w':
    case 'f':
    case 'r':
    case 'o':
      failing = letter;
      return 0;
    default:
      return -EINVAL;
  }
}

static int get_attributes(const char *path, struct stat *found, struct fuse_file_info *info) {
  (void)info;
  memset(found, 0, sizeof *found);
  if (strcmp(path, "/") == 0) {
    found->st_mode = S_IFDIR | 0755;
    found->st_nlink = 2;
    return 0;
  }
  enum file file = file_of(path);
  if (file == NONE) return -ENOENT;
  found->st_mode = S_IFREG | 0600;
  found->st_nlink = 1;
  found->st_size = file == MARK || file == CONTROL ? 0 : (off_t)disk_bytes;
  return 0;
}

static int open_file(const char *path, struct fuse_file_info *info) {
  if (file_of(path) == NONE) return -ENOENT;
  info->direct_io = 1; /* every request comes here, and nothing is cached */
  return 0;
}

static int read_file(const char *path, char *bytes, size_t length, off_t offset, struct fuse_file_info *info) {
  (void)info;
  enum file file = file_of(path);
  if (file == DISK && failing == 'r') return -EIO;
  if (file == MARK || file == CONTROL || (uint64_t)offset >= disk_bytes) return 0;
  if (length > disk_bytes - (uint64_t)offset) length = disk_bytes - (uint64_t)offset;
  memcpy(bytes, disk + offset, length);
  return (int)length;
}

static int write_file(const char *path, const char *bytes, size_t length, off_t offset, struct fuse_file_info *info) {
  (void)info;
  enum file file = file_of(path);
  int failure = 0;
  if (file == DISK && failing == 'w') return -EIO;
  if (file == CONTROL) failure = length == 1 ? command(bytes[0]) : -EINVAL;
  else if (file == MARK) failure = is_recording ? add('M', 0, bytes, length) : 0;
  else {
    if ((uint64_t)offset + length > disk_bytes) return -ENOSPC;
    if (is_undoing && file != BASE) save((uint64_t)offset, length);
    memcpy(disk + offset, bytes, length);
    if (is_recording && file == DISK) failure = add('W', (uint64_t)offset, bytes, length);
  }
  return failure != 0 ? failure : (int)length;
}

static int sync_file(const char *path, int data_only, struct fuse_file_info *info) {
  (void)data_only;
  (void)info;
  if (file_of(path) == DISK && failing == 'f') return -EIO;
  return is_recording && file_of(path) == DISK ? add('F', 0, NULL, 0) : 0;
}

/* Opening for writing can come with O_TRUNC; a loop device also asks for holes, which are not there. */
static int truncate_file(const char *path, off_t length, struct fuse_file_info *info) {
  (void)length;
  (void)info;
  enum file file = file_of(path);
  return file == MARK || file == CONTROL ? 0 : -EPERM;
}

static const struct fuse_operations operations = {
    .getattr = get_attributes,
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .fsync = sync_file,
    .truncate = truncate_file,
};

int main(int count, char **arguments) {
  if (count < 4) {
    fprintf(stderr, "usage: recording-disk MEBIBYTES RECORD MOUNTPOINT [options]\n");
    return 2;
  }
  disk_bytes = strtoull(arguments[1], NULL, 10) << 20;
  record = fopen(arguments[2], "wb");
  if (disk_bytes == 0 || record == NULL) {
    perror(arguments[2]);
    return 1;
  }
  disk = zeros();
  beginning = zeros();
  saved = calloc(disk_bytes / PAGE_BYTES, sizeof *saved);
  if (saved == NULL) return 1;
  arguments[2] = arguments[0]; /* what follows is FUSE's */
  int result = fuse_main(count - 2, arguments + 2, &operations, NULL);
  return fclose(record) == 0 ? result : 1;
}
