/* What the test programs share: checks that end the program with a message, and a place for files. */
#pragma once
#include <FindDirectory.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void check_failed(const char* condition, const char* file, int line)
{
	const char* leaf = strrchr(file, '/');
	fflush(stdout);
	dprintf(2, "%s:%d: failed: %s (errno %#x, %s)\n", leaf != NULL ? leaf + 1 : file, line, condition, (unsigned)errno,
		strerror(errno));
	_exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* Changes into a new directory for the program's files: below the first argument, else the system's for such things. */
static inline void enter_scratch_dir(int argc, char** argv, const char* name)
{
	char path[1024];
	if (argc > 1)
		strlcpy(path, argv[1], sizeof(path));
	else
		CHECK(find_directory(B_SYSTEM_TEMP_DIRECTORY, -1, true, path, sizeof(path)) == B_OK);
	size_t length = strlen(path);
	snprintf(path + length, sizeof(path) - length, "/%s-%d", name, (int)getpid());
	int mkdir(const char* path, mode_t mode);
	CHECK(mkdir(path, 0755) == 0);
	CHECK(chdir(path) == 0);
}

/* Leaves and removes it; it has to be empty again. */
static inline void leave_scratch_dir(void)
{
	char path[1024];
	CHECK(getcwd(path, sizeof(path)) == path);
	CHECK(chdir("/") == 0);
	CHECK(rmdir(path) == 0);
}
