/* String functions. */
#include "libroot.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

EXPORT size_t strnlen(const char* string, size_t max)
{
	size_t length = 0;
	while (length < max && string[length] != '\0')
		length++;
	return length;
}

EXPORT char* strcpy(char* restrict dest, const char* restrict source)
{
	memcpy(dest, source, strlen(source) + 1);
	return dest;
}

EXPORT char* strncpy(char* restrict dest, const char* restrict source, size_t count)
{
	size_t length = strnlen(source, count);
	memcpy(dest, source, length);
	memset(dest + length, 0, count - length);
	return dest;
}

EXPORT char* strcat(char* restrict dest, const char* restrict source)
{
	strcpy(dest + strlen(dest), source);
	return dest;
}

EXPORT size_t strlcpy(char* restrict dest, const char* restrict source, size_t size)
{
	size_t length = strlen(source);
	if (size > 0) {
		size_t copied = length < size ? length : size - 1;
		memcpy(dest, source, copied);
		dest[copied] = '\0';
	}
	return length;
}

EXPORT size_t strlcat(char* restrict dest, const char* restrict source, size_t size)
{
	size_t length = strnlen(dest, size);
	return length + strlcpy(dest + length, source, size - length);
}

EXPORT int strcmp(const char* a, const char* b)
{
	while (*a != '\0' && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

EXPORT int strncmp(const char* a, const char* b, size_t count)
{
	for (; count > 0; a++, b++, count--) {
		if (*a != *b)
			return (unsigned char)*a - (unsigned char)*b;
		if (*a == '\0')
			break;
	}
	return 0;
}

EXPORT int strncasecmp(const char* a, const char* b, size_t count)
{
	for (; count > 0; a++, b++, count--) {
		int difference = tolower((unsigned char)*a) - tolower((unsigned char)*b);
		if (difference != 0 || *a == '\0')
			return difference;
	}
	return 0;
}

EXPORT int strcasecmp(const char* a, const char* b)
{
	return strncasecmp(a, b, SIZE_MAX);
}

EXPORT char* strchr(const char* string, int value)
{
	for (;; string++) {
		if (*string == (char)value)
			return (char*)string;
		if (*string == '\0')
			return NULL;
	}
}

EXPORT char* strrchr(const char* string, int value)
{
	const char* found = NULL;
	for (;; string++) {
		if (*string == (char)value)
			found = string;
		if (*string == '\0')
			return (char*)found;
	}
}

EXPORT char* strstr(const char* string, const char* part)
{
	size_t length = strlen(part);
	for (; strncmp(string, part, length) != 0; string++) {
		if (*string == '\0')
			return NULL;
	}
	return (char*)string;
}

EXPORT int strcoll(const char* a, const char* b)
{
	return strcmp(a, b);
}

EXPORT char* strpbrk(const char* string, const char* set)
{
	string += strcspn(string, set);
	return *string != '\0' ? (char*)string : NULL;
}

EXPORT size_t strspn(const char* string, const char* set)
{
	size_t length = 0;
	while (string[length] != '\0' && strchr(set, string[length]) != NULL)
		length++;
	return length;
}

EXPORT size_t strcspn(const char* string, const char* set)
{
	size_t length = 0;
	while (string[length] != '\0' && strchr(set, string[length]) == NULL)
		length++;
	return length;
}

EXPORT char* strdup(const char* string)
{
	size_t size = strlen(string) + 1;
	char* copy = malloc(size);
	return copy != NULL ? memcpy(copy, string, size) : NULL;
}

EXPORT char* strtok_r(char* restrict string, const char* restrict set, char** restrict save)
{
	char* token = string != NULL ? string : *save;
	token += strspn(token, set);
	if (*token == '\0') {
		*save = token;
		return NULL;
	}
	char* end = token + strcspn(token, set);
	*save = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return token;
}
