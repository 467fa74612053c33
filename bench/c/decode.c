/* Reads FILE the way a decoder does, one token after another, PASSES times over the same tokens.
 * RANGES holds u64s: for each token the number of its ranges, then offset and length of each.
 *
 *   decode FILE RANGES PASSES  ->  {"passes":[[ms, …], …],"minorFaults":…,"majorFaults":…}
 *
 * In C because a script's first token would pay for its compiler as well.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t sum_bytes(const uint8_t *at, uint64_t length) {
  uint64_t sum = 0, word;
  for (uint64_t i = 0; i + 8 <= length; i += 8) {
    memcpy(&word, at + i, 8);
    sum += word;
  }
  return sum;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  struct stat model, list;
  int fd = open(argv[1], O_RDONLY), ranges = open(argv[2], O_RDONLY);
  if (fd < 0 || ranges < 0 || fstat(fd, &model) || fstat(ranges, &list)) return 1;
  const uint8_t *base = mmap(NULL, model.st_size, PROT_READ, MAP_SHARED, fd, 0);
  const uint64_t *words = mmap(NULL, list.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, ranges, 0);
  if (base == MAP_FAILED || words == MAP_FAILED) return 1;
  const uint64_t *end = words + list.st_size / 8;
  uint64_t sum = 0;
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  printf("{\"passes\":[");
  for (int pass = 0; pass < atoi(argv[3]); pass++) {
    printf(pass ? ",[" : "[");
    for (const uint64_t *at = words; at < end;) {
      double started = now_ms();
      uint64_t count = *at++;
      for (uint64_t i = 0; i < count; i++, at += 2) sum += sum_bytes(base + at[0], at[1]);
      printf("%.4f%s", now_ms() - started, at < end ? "," : "");
    }
    printf("]");
  }
  getrusage(RUSAGE_SELF, &after);
  printf("],\"minorFaults\":%ld,\"majorFaults\":%ld,\"sum\":%u}\n",
         after.ru_minflt - before.ru_minflt, after.ru_majflt - before.ru_majflt, (unsigned)sum);
  return 0;
}
