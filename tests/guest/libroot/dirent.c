/* Reading directories. The kernel fills a buffer with several entries and returns how many. */
#include "libroot.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#define BUFFER_SIZE 4096

struct guest_dir {
	int fd;
	ssize_t entries_left;
	struct dirent* next;
	char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

EXPORT DIR* opendir(const char* path)
{
	int fd = _kern_open_dir(AT_FDCWD, path);
	if (set_errno(fd) < 0)
		return NULL;
	DIR* dir = malloc(sizeof(DIR));
	if (dir == NULL) {
		_kern_close(fd);
		return NULL;
	}
	dir->fd = fd;
	dir->entries_left = 0;
	return dir;
}

EXPORT struct dirent* readdir(DIR* dir)
{
	if (dir->entries_left == 0) {
		dir->next = (struct dirent*)dir->buffer;
		dir->entries_left = _kern_read_dir(dir->fd, dir->next, BUFFER_SIZE, UINT32_MAX);
		if (dir->entries_left <= 0) {
			set_errno(dir->entries_left);
			dir->entries_left = 0;
			return NULL;
		}
	}
	struct dirent* entry = dir->next;
	dir->next = (struct dirent*)((char*)entry + entry->d_reclen);
	dir->entries_left--;
	return entry;
}

EXPORT void rewinddir(DIR* dir)
{
	_kern_rewind_dir(dir->fd);
	dir->entries_left = 0;
}

EXPORT int closedir(DIR* dir)
{
	status_t status = _kern_close(dir->fd);
	free(dir);
	return set_errno(status);
}
