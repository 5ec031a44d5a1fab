/* The environment: the kernel's list until the first change, then a copy on the heap. */
#include "libroot.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EXPORT char** environ;

static lock_t environment_lock;
static bool is_copied;

void environment_init(char** initial)
{
	environ = initial;
}

/* Index of the entry for `name`, -1 if there is none. */
static int find(const char* name, size_t length)
{
	for (int i = 0; environ[i] != NULL; i++) {
		if (strncmp(environ[i], name, length) == 0 && environ[i][length] == '=')
			return i;
	}
	return -1;
}

static bool copy_environment(int extra)
{
	int count = count_strings((const char* const*)environ);
	char** copy = malloc((count + extra + 1) * sizeof(char*));
	if (copy == NULL)
		return false;
	memcpy(copy, environ, (count + 1) * sizeof(char*));
	if (is_copied)
		free(environ);
	environ = copy;
	is_copied = true;
	return true;
}

EXPORT char* getenv(const char* name)
{
	size_t length = strlen(name);
	lock_acquire(&environment_lock);
	int index = find(name, length);
	char* value = index >= 0 ? environ[index] + length + 1 : NULL;
	lock_release(&environment_lock);
	return value;
}

/* Replaced strings are not freed: getenv() may have handed them out. */
EXPORT int setenv(const char* name, const char* value, int overwrite)
{
	size_t length = strlen(name);
	if (length == 0 || strchr(name, '=') != NULL)
		return set_errno(B_BAD_VALUE);
	lock_acquire(&environment_lock);
	status_t status = B_OK;
	int index = find(name, length);
	if (index < 0 || overwrite) {
		char* entry = malloc(length + strlen(value) + 2);
		if (entry == NULL || !copy_environment(index < 0 ? 1 : 0)) {
			free(entry);
			status = B_NO_MEMORY;
		} else {
			memcpy(entry, name, length);
			entry[length] = '=';
			strcpy(entry + length + 1, value);
			if (index < 0) {
				index = count_strings((const char* const*)environ);
				environ[index + 1] = NULL;
			}
			environ[index] = entry;
		}
	}
	lock_release(&environment_lock);
	return set_errno(status);
}

EXPORT int unsetenv(const char* name)
{
	lock_acquire(&environment_lock);
	status_t status = copy_environment(0) ? B_OK : B_NO_MEMORY;
	int index = status == B_OK ? find(name, strlen(name)) : -1;
	for (; index >= 0 && environ[index] != NULL; index++)
		environ[index] = environ[index + 1];
	lock_release(&environment_lock);
	return set_errno(status);
}
