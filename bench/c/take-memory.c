/* Takes BYTES of memory, writes to each page, and gives them back.
 *
 *   take-memory BYTES
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
  size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 1;
  /* Given back in large pieces it is what a fill in large folios takes next. */
  madvise(at, size, MADV_HUGEPAGE);
  for (size_t page = 0; page < size; page += 4096) at[page] = 1;
  return 0;
}
