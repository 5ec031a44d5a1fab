/* Memory functions that both word sizes share. */
#include "libroot.h"
#include <string.h>

EXPORT void* memmove(void* dest, const void* source, size_t count)
{
	char* to = dest;
	const char* from = source;
	if ((addr_t)to - (addr_t)from >= count)
		return memcpy(dest, source, count);
	while (count >= sizeof(long)) {
		count -= sizeof(long);
		long word;
		__builtin_memcpy(&word, from + count, sizeof(word));
		__builtin_memcpy(to + count, &word, sizeof(word));
	}
	while (count > 0) {
		count--;
		to[count] = from[count];
	}
	return dest;
}

EXPORT int memcmp(const void* a, const void* b, size_t count)
{
	const unsigned char* x = a;
	const unsigned char* y = b;
	for (; count > 0; x++, y++, count--) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

EXPORT void* memchr(const void* block, int value, size_t count)
{
	const unsigned char* at = block;
	for (; count > 0; at++, count--) {
		if (*at == (unsigned char)value)
			return (void*)at;
	}
	return NULL;
}
