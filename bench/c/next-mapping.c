/* What the next program that maps FILE pays: touches every page once, in order, in one thread.
 *
 *   next-mapping FILE  ->  {"seconds":…,"minorFaults":…,"majorFaults":…}
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  struct stat info;
  int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
  if (fd < 0 || fstat(fd, &info)) return 1;
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  double started = now();
  const volatile unsigned char *at = mmap(NULL, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return 1;
  for (off_t page = 0; page < info.st_size; page += 4096) (void)at[page];
  double seconds = now() - started;
  getrusage(RUSAGE_SELF, &after);
  printf("{\"seconds\":%.9f,\"minorFaults\":%ld,\"majorFaults\":%ld}\n", seconds,
         after.ru_minflt - before.ru_minflt, after.ru_majflt - before.ru_majflt);
  return 0;
}
