/* Many short processes: each round forks a child that works a little and exits. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv)
{
	unsigned scale = argc > 1 ? (unsigned)atoi(argv[1]) : 300, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		pid_t child = fork();
		if (child < 0)
			return 1;
		if (child == 0) {
			unsigned state = round + 1;
			for (int n = 0; n < 100000; n++)
				state = state * 1664525 + 1013904223;
			_exit(state >> 25);
		}
		int status;
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
			return 2;
		sum += WEXITSTATUS(status);
	}
	printf("processes %u\n", sum);
	return 0;
}
