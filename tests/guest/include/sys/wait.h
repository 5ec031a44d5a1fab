/* Waiting for children: the exit code is in bits 0 to 7 of a status, the signal in bits 8 to 15. */
#pragma once
#include <sys/types.h>

#define WNOHANG 0x01
#define WUNTRACED 0x02
#define WCONTINUED 0x04
#define WEXITED 0x08
#define WEXITSTATUS(status) ((status) & 0xff)
#define WTERMSIG(status) (((status) >> 8) & 0xff)
#define WIFEXITED(status) (((status) & ~0xff) == 0)
#define WIFSIGNALED(status) ((((status) >> 8) & 0xff) != 0)

pid_t wait(int* status);
pid_t waitpid(pid_t child, int* status, int options);
