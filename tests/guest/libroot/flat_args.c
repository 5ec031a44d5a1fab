/* Arguments and environment as the kernel takes them: pointers, each list ended by NULL, directly followed by the
 * strings. */
#include "libroot.h"
#include <stdlib.h>
#include <string.h>

int32 count_strings(const char* const* strings)
{
	int32 count = 0;
	while (strings != NULL && strings[count] != NULL)
		count++;
	return count;
}

static char* append_strings(char** pointers, const char* const* strings, int32 count, char* at)
{
	for (int32 i = 0; i < count; i++) {
		pointers[i] = at;
		at = strcpy(at, strings[i]) + strlen(strings[i]) + 1;
	}
	pointers[count] = NULL;
	return at;
}

/* The result is to be freed. */
status_t flatten_arguments(const char* const* argv, int32 argc, const char* const* envp, int32 envc,
	char*** flat, size_t* size)
{
	size_t total = (argc + envc + 2) * sizeof(char*);
	for (int32 i = 0; i < argc; i++)
		total += strlen(argv[i]) + 1;
	for (int32 i = 0; i < envc; i++)
		total += strlen(envp[i]) + 1;
	char** pointers = malloc(total);
	if (pointers == NULL)
		return B_NO_MEMORY;
	char* strings = (char*)(pointers + argc + envc + 2);
	strings = append_strings(pointers, argv, argc, strings);
	append_strings(pointers + argc + 1, envp, envc, strings);
	*flat = pointers;
	*size = total;
	return B_OK;
}
