/* The few memory and string functions that the loader needs. */
#include "loader.h"
#include <private/commpage.h>
#include <string.h>

size_t string_length(const char* string)
{
	size_t length = 0;
	while (string[length] != '\0')
		length++;
	return length;
}

bool string_equal(const char* a, const char* b)
{
	while (*a != '\0' && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Copies as much as fits, always terminated. Returns the length of `source`. */
size_t string_copy(char* dest, const char* source, size_t size)
{
	size_t i = 0;
	for (; i + 1 < size && source[i] != '\0'; i++)
		dest[i] = source[i];
	if (size > 0)
		dest[i] = '\0';
	return string_length(source);
}

const char* string_leaf(const char* path)
{
	const char* leaf = path;
	for (; *path != '\0'; path++) {
		if (*path == '/')
			leaf = path + 1;
	}
	return leaf;
}

#if defined(__x86_64__)

void* memcpy(void* restrict dest, const void* restrict source, size_t count)
{
	void* to = dest;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(count) : : "memory");
	return dest;
}

void* memset(void* dest, int value, size_t count)
{
	void* to = dest;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	return dest;
}

#else

/* On x86 the kernel supplies these, in the commpage. */
void* memcpy(void* restrict dest, const void* restrict source, size_t count)
{
	return ((void* (*)(void*, const void*, size_t))commpage_entry(COMMPAGE_ENTRY_MEMCPY))(dest, source, count);
}

void* memset(void* dest, int value, size_t count)
{
	return ((void* (*)(void*, int, size_t))commpage_entry(COMMPAGE_ENTRY_MEMSET))(dest, value, count);
}

#endif
