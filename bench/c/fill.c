/* The peers that are a few system calls: fills the page cache with FILE, one way, and exits.
 *
 *   fill llama.cpp FILE         mmap with MAP_POPULATE, as llama.cpp's llama_mmap does on Linux
 *   fill touch FILE             one byte of each page, one thread
 *   fill reference FILE N       WILLNEED for each 32 MiB, then N threads touch 32 MiB at a time
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 32 << 20, PAGE = 4096, MOST_THREADS = 64 };

static const volatile unsigned char *base;
static size_t size;
static atomic_size_t next_chunk;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void touch(size_t at, size_t end) {
  for (; at < end; at += PAGE) (void)base[at];
}

static void *worker(void *unused) {
  (void)unused;
  size_t at;
  while ((at = atomic_fetch_add(&next_chunk, CHUNK)) < size) {
    size_t end = at + CHUNK < size ? at + CHUNK : size;
    touch(at, end);
  }
  return NULL;
}

static void map(int fd, int flags) {
  void *at = mmap(NULL, size, PROT_READ, MAP_SHARED | flags, fd, 0);
  if (at == MAP_FAILED) die("mmap");
  base = at;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int fd = open(argv[2], O_RDONLY);
  if (fd < 0) die(argv[2]);
  struct stat info;
  if (fstat(fd, &info)) die("fstat");
  size = (size_t)info.st_size;

  if (!strcmp(argv[1], "llama.cpp")) {
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    map(fd, MAP_POPULATE);
    posix_madvise((void *)base, size, POSIX_MADV_WILLNEED);
  } else if (!strcmp(argv[1], "touch")) {
    map(fd, 0);
    touch(0, size);
  } else if (!strcmp(argv[1], "reference")) {
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    if (threads < 1 || threads > MOST_THREADS) return 2;
    map(fd, 0);
    for (size_t at = 0; at < size; at += CHUNK) {
      posix_madvise((void *)(base + at), at + CHUNK < size ? CHUNK : size - at, POSIX_MADV_WILLNEED);
    }
    pthread_t thread[MOST_THREADS];
    for (int i = 0; i < threads; i++) {
      if (pthread_create(&thread[i], NULL, worker, NULL)) die("pthread_create");
    }
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
  } else {
    return 2;
  }
  return 0;
}
