/* Memory and string functions. */
#pragma once
#include <stddef.h>

void* memcpy(void* restrict dest, const void* restrict source, size_t count);
void* memmove(void* dest, const void* source, size_t count);
void* memset(void* dest, int value, size_t count);
int memcmp(const void* a, const void* b, size_t count);
void* memchr(const void* block, int value, size_t count);

size_t strlen(const char* string);
size_t strnlen(const char* string, size_t max);
char* strcpy(char* restrict dest, const char* restrict source);
char* strncpy(char* restrict dest, const char* restrict source, size_t count);
char* strcat(char* restrict dest, const char* restrict source);
size_t strlcpy(char* restrict dest, const char* restrict source, size_t size);
size_t strlcat(char* restrict dest, const char* restrict source, size_t size);
int strcmp(const char* a, const char* b);
int strncmp(const char* a, const char* b, size_t count);
char* strchr(const char* string, int value);
char* strrchr(const char* string, int value);
char* strstr(const char* string, const char* part);
int strcoll(const char* a, const char* b);
char* strpbrk(const char* string, const char* set);
size_t strspn(const char* string, const char* set);
size_t strcspn(const char* string, const char* set);
char* strdup(const char* string);
char* strtok_r(char* restrict string, const char* restrict set, char** restrict save);
char* strerror(int error);
