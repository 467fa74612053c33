/* Holds BYTES of memory until it is ended, and says when it has them.
 *
 *   hold-memory BYTES  ->  held
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv) {
  size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  /* Whoever asked may be killed; this must not outlive it. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 1;
  madvise(at, size, MADV_HUGEPAGE);
  for (size_t page = 0; page < size; page += 4096) at[page] = 1;
  puts("held");
  fflush(stdout);
  for (;;) pause();
}
