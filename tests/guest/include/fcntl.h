/* Opening files. */
#pragma once
#include <sys/types.h>

#define O_RDONLY 0x0000
#define O_WRONLY 0x0001
#define O_RDWR 0x0002
#define O_ACCMODE 0x0003
#define O_CLOEXEC 0x0040
#define O_NONBLOCK 0x0080
#define O_EXCL 0x0100
#define O_CREAT 0x0200
#define O_TRUNC 0x0400
#define O_APPEND 0x0800
#define O_NOTRAVERSE 0x2000
#define O_NOFOLLOW 0x00080000
#define O_DIRECTORY 0x00200000

#define F_DUPFD 0x0001
#define F_GETFD 0x0002
#define F_SETFD 0x0004
#define F_GETFL 0x0008
#define F_SETFL 0x0010
#define FD_CLOEXEC 1

#define AT_FDCWD (-100)

int open(const char* path, int flags, ...);
int openat(int dir, const char* path, int flags, ...);
int creat(const char* path, mode_t mode);
int fcntl(int fd, int operation, ...);
