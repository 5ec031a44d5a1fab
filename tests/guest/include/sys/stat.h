/* What a file system says of a node. */
#pragma once
#include <sys/types.h>
#include <time.h>

struct stat {
	dev_t st_dev;
	ino_t st_ino;
	mode_t st_mode;
	nlink_t st_nlink;
	uid_t st_uid;
	gid_t st_gid;
	off_t st_size;
	dev_t st_rdev;
	blksize_t st_blksize;
	struct timespec st_atim;
	struct timespec st_mtim;
	struct timespec st_ctim;
	struct timespec st_crtim;
	uint32_t st_type;
	blkcnt_t st_blocks;
};
_Static_assert(sizeof(struct stat) == (sizeof(void*) == 8 ? 128 : 88), "struct stat");
#define st_mtime st_mtim.tv_sec

#define S_IFMT 0170000
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFDIR 0040000
#define S_IFBLK 0060000
#define S_IFREG 0100000
#define S_IFLNK 0120000
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISLNK(mode) (((mode) & S_IFMT) == S_IFLNK)
#define S_ISCHR(mode) (((mode) & S_IFMT) == S_IFCHR)
#define S_ISFIFO(mode) (((mode) & S_IFMT) == S_IFIFO)

/* Which fields write_stat() is to change. */
#define B_STAT_MODE 0x0001
#define B_STAT_SIZE 0x0008

int stat(const char* path, struct stat* info);
int lstat(const char* path, struct stat* info);
int fstat(int fd, struct stat* info);
int mkdir(const char* path, mode_t mode);
int chmod(const char* path, mode_t mode);
mode_t umask(mode_t mask);
