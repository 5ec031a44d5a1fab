/* Reading directories. */
#pragma once
#include <sys/types.h>

typedef struct dirent {
	dev_t d_dev;
	dev_t d_pdev;
	ino_t d_ino;
	ino_t d_pino;
	unsigned short d_reclen;
	char d_name[];
} dirent_t;

typedef struct guest_dir DIR;

DIR* opendir(const char* path);
struct dirent* readdir(DIR* dir);
void rewinddir(DIR* dir);
int closedir(DIR* dir);
