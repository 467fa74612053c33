/* assembly/touch-pages.ts in C, without its looks at the cancel word: the bound to come close to. */
#include <stddef.h>
#include <stdint.h>

uint32_t touch_pages(const volatile uint8_t *at, size_t length, size_t page) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i += page) sum += at[i];
  return sum;
}
