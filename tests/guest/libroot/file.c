/* File descriptors and paths. */
#include "libroot.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURRENT_POSITION (-1)
#define TCGETA 0x8000 /* the terminal attributes: only terminals answer */
#define TERMIOS_SIZE 30

static mode_t file_mode_mask = 022;

static int open_with_mode(int dir, const char* path, int flags, va_list args)
{
	int mode = (flags & O_CREAT) != 0 ? (int)(va_arg(args, int) & ~file_mode_mask) : 0;
	return set_errno(_kern_open(dir, path, flags, mode));
}

EXPORT int open(const char* path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	int fd = open_with_mode(AT_FDCWD, path, flags, args);
	va_end(args);
	return fd;
}

EXPORT int openat(int dir, const char* path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	int fd = open_with_mode(dir, path, flags, args);
	va_end(args);
	return fd;
}

EXPORT int creat(const char* path, mode_t mode)
{
	return open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
}

EXPORT int fcntl(int fd, int operation, ...)
{
	va_list args;
	va_start(args, operation);
	size_t argument = va_arg(args, size_t);
	va_end(args);
	return set_errno(_kern_fcntl(fd, operation, argument));
}

EXPORT ssize_t read(int fd, void* buffer, size_t size)
{
	return set_errno(_kern_read(fd, CURRENT_POSITION, buffer, size));
}

EXPORT ssize_t write(int fd, const void* buffer, size_t size)
{
	return set_errno(_kern_write(fd, CURRENT_POSITION, buffer, size));
}

EXPORT ssize_t pread(int fd, void* buffer, size_t size, off_t position)
{
	return position < 0 ? set_errno(B_BAD_VALUE) : set_errno(_kern_read(fd, position, buffer, size));
}

EXPORT ssize_t pwrite(int fd, const void* buffer, size_t size, off_t position)
{
	return position < 0 ? set_errno(B_BAD_VALUE) : set_errno(_kern_write(fd, position, buffer, size));
}

EXPORT ssize_t readv(int fd, const struct iovec* vecs, int count)
{
	return set_errno(_kern_readv(fd, CURRENT_POSITION, vecs, count));
}

EXPORT ssize_t writev(int fd, const struct iovec* vecs, int count)
{
	return set_errno(_kern_writev(fd, CURRENT_POSITION, vecs, count));
}

EXPORT off_t lseek(int fd, off_t offset, int whence)
{
	off_t result = _kern_seek(fd, offset, whence);
	if (result >= 0)
		return result;
	errno = (int)result;
	return -1;
}

EXPORT int close(int fd)
{
	return set_errno(_kern_close(fd));
}

EXPORT int dup(int fd)
{
	return set_errno(_kern_dup(fd));
}

EXPORT int dup2(int from, int to)
{
	return set_errno(_kern_dup2(from, to, 0));
}

EXPORT int pipe(int fds[2])
{
	return set_errno(_kern_create_pipe(fds, 0));
}

EXPORT int fsync(int fd)
{
	return set_errno(_kern_fsync(fd, false));
}

EXPORT int ftruncate(int fd, off_t size)
{
	struct stat info;
	memset(&info, 0, sizeof(info));
	info.st_size = size;
	return set_errno(_kern_write_stat(fd, NULL, false, &info, sizeof(info), B_STAT_SIZE));
}

EXPORT int isatty(int fd)
{
	char attributes[TERMIOS_SIZE];
	return _kern_ioctl(fd, TCGETA, attributes, sizeof(attributes)) == B_OK;
}

EXPORT int access(const char* path, int mode)
{
	return set_errno(_kern_access(AT_FDCWD, path, mode, false));
}

EXPORT int unlink(const char* path)
{
	return set_errno(_kern_unlink(AT_FDCWD, path));
}

EXPORT int rmdir(const char* path)
{
	return set_errno(_kern_remove_dir(AT_FDCWD, path));
}

EXPORT int remove(const char* path)
{
	status_t status = _kern_unlink(AT_FDCWD, path);
	return set_errno(status == B_IS_A_DIRECTORY ? _kern_remove_dir(AT_FDCWD, path) : status);
}

EXPORT int rename(const char* from, const char* to)
{
	return set_errno(_kern_rename(AT_FDCWD, from, AT_FDCWD, to));
}

EXPORT int link(const char* from, const char* to)
{
	return set_errno(_kern_create_link(AT_FDCWD, to, AT_FDCWD, from, true));
}

EXPORT int symlink(const char* target, const char* path)
{
	return set_errno(_kern_create_symlink(AT_FDCWD, path, target, 0777));
}

EXPORT ssize_t readlink(const char* path, char* buffer, size_t size)
{
	size_t length = size;
	status_t status = _kern_read_link(AT_FDCWD, path, buffer, &length);
	if (status < 0)
		return set_errno(status);
	return length < size ? length : size;
}

EXPORT int mkdir(const char* path, mode_t mode)
{
	return set_errno(_kern_create_dir(AT_FDCWD, path, mode & ~file_mode_mask));
}

EXPORT mode_t umask(mode_t mask)
{
	mode_t old = file_mode_mask;
	file_mode_mask = mask & 0777;
	return old;
}

EXPORT int chmod(const char* path, mode_t mode)
{
	struct stat info;
	memset(&info, 0, sizeof(info));
	info.st_mode = mode;
	return set_errno(_kern_write_stat(AT_FDCWD, path, true, &info, sizeof(info), B_STAT_MODE));
}

EXPORT int stat(const char* path, struct stat* info)
{
	return set_errno(_kern_read_stat(AT_FDCWD, path, true, info, sizeof(*info)));
}

EXPORT int lstat(const char* path, struct stat* info)
{
	return set_errno(_kern_read_stat(AT_FDCWD, path, false, info, sizeof(*info)));
}

EXPORT int fstat(int fd, struct stat* info)
{
	return set_errno(_kern_read_stat(fd, NULL, false, info, sizeof(*info)));
}

EXPORT int chdir(const char* path)
{
	return set_errno(_kern_setcwd(AT_FDCWD, path));
}

EXPORT char* getcwd(char* buffer, size_t size)
{
	status_t status = _kern_getcwd(buffer, size);
	return set_errno(status) == 0 ? buffer : NULL;
}
