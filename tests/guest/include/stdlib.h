/* Memory, conversion, sorting, environment and the end of the program. */
#pragma once
#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
#define RAND_MAX 0x7fffffff

void* malloc(size_t size);
void* calloc(size_t count, size_t size);
void* realloc(void* block, size_t size);
void free(void* block);
void* aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void** result, size_t alignment, size_t size);

int atoi(const char* string);
long atol(const char* string);
double atof(const char* string);
long strtol(const char* restrict string, char** restrict end, int base);
unsigned long strtoul(const char* restrict string, char** restrict end, int base);
long long strtoll(const char* restrict string, char** restrict end, int base);
unsigned long long strtoull(const char* restrict string, char** restrict end, int base);
double strtod(const char* restrict string, char** restrict end);

void qsort(void* base, size_t count, size_t size, int (*compare)(const void*, const void*));
void* bsearch(const void* key, const void* base, size_t count, size_t size,
	int (*compare)(const void*, const void*));

static inline int abs(int value) { return value < 0 ? -value : value; }
static inline long labs(long value) { return value < 0 ? -value : value; }

int rand(void);
void srand(unsigned seed);

char* getenv(const char* name);
int setenv(const char* name, const char* value, int overwrite);
int unsetenv(const char* name);

int atexit(void (*function)(void));
void exit(int status) __attribute__((noreturn));
void _Exit(int status) __attribute__((noreturn));
void abort(void) __attribute__((noreturn));
