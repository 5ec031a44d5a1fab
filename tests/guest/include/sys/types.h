/* POSIX types as Haiku sizes them: 64-bit off_t and ino_t, time_t as wide as a pointer. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef __PTRDIFF_TYPE__ ssize_t;
typedef int64_t off_t;
typedef int64_t ino_t;
typedef int64_t blkcnt_t;
typedef int32_t dev_t;
typedef uint32_t mode_t;
typedef int32_t nlink_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef int32_t pid_t;
typedef int32_t blksize_t;
typedef int32_t clockid_t;
typedef long time_t;
typedef int32_t suseconds_t;
typedef int32_t clock_t;
