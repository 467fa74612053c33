/* Reads ranges of FILE with THREADS threads after POSIX_FADV_RANDOM, 1 MiB a call: what filling slices
 * costs without anything around it. RANGES holds u64s: offset and length of each.
 *
 *   slices FILE RANGES THREADS  ->  {"seconds":…,"bytes":…}
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MOST_THREADS = 64 };

static int fd;
static const uint64_t *words;
static size_t count;
static atomic_size_t next_range;
static atomic_ullong bytes;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *worker(void *unused) {
  (void)unused;
  char *buffer = malloc(PIECE);
  size_t at;
  while (buffer && (at = atomic_fetch_add(&next_range, 1)) < count) {
    uint64_t offset = words[2 * at], left = words[2 * at + 1];
    while (left > 0) {
      ssize_t got = pread(fd, buffer, left < PIECE ? left : PIECE, (off_t)offset);
      if (got <= 0) break;
      offset += (uint64_t)got;
      left -= (uint64_t)got;
      atomic_fetch_add(&bytes, (unsigned long long)got);
    }
  }
  free(buffer);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  struct stat list;
  int ranges = open(argv[2], O_RDONLY);
  fd = open(argv[1], O_RDONLY);
  if (fd < 0 || ranges < 0 || fstat(ranges, &list)) return 1;
  words = mmap(NULL, list.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, ranges, 0);
  if (words == MAP_FAILED) return 1;
  count = list.st_size / 16;
  posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  int threads = atoi(argv[3]);
  if (threads < 1 || threads > MOST_THREADS) return 2;
  pthread_t thread[MOST_THREADS];
  double started = now();
  for (int i = 0; i < threads; i++)
    if (pthread_create(&thread[i], NULL, worker, NULL)) return 1;
  for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  printf("{\"seconds\":%.6f,\"bytes\":%llu}\n", now() - started, (unsigned long long)bytes);
  return 0;
}
