/* POSIX calls on file descriptors, paths and teams. */
#pragma once
#include <sys/types.h>

#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#ifndef SEEK_SET
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#endif
#define F_OK 0
#define X_OK 1
#define W_OK 2
#define R_OK 4

extern char** environ;

ssize_t read(int fd, void* buffer, size_t size);
ssize_t write(int fd, const void* buffer, size_t size);
ssize_t pread(int fd, void* buffer, size_t size, off_t position);
ssize_t pwrite(int fd, const void* buffer, size_t size, off_t position);
off_t lseek(int fd, off_t offset, int whence);
int close(int fd);
int dup(int fd);
int dup2(int from, int to);
int pipe(int fds[2]);
int fsync(int fd);
int ftruncate(int fd, off_t size);
int isatty(int fd);
int access(const char* path, int mode);
int unlink(const char* path);
int rmdir(const char* path);
int link(const char* from, const char* to);
int symlink(const char* target, const char* path);
ssize_t readlink(const char* path, char* buffer, size_t size);
int chdir(const char* path);
char* getcwd(char* buffer, size_t size);

pid_t getpid(void);
pid_t getppid(void);
uid_t getuid(void);
gid_t getgid(void);
pid_t fork(void);
int execv(const char* path, char* const argv[]);
int execve(const char* path, char* const argv[], char* const envp[]);
void _exit(int status) __attribute__((noreturn));
int usleep(unsigned microseconds);
unsigned sleep(unsigned seconds);
int getpagesize(void);
