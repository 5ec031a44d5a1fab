/* Prints its arguments and those environment variables that begin with GUEST_; `--exit N` as the first two arguments
 * chooses the exit code. */
#include "check.h"

int main(int argc, char** argv, char** env)
{
	printf("%d arguments\n", argc - 1);
	for (int i = 1; i < argc; i++)
		printf("%d: \"%s\"\n", i, argv[i]);
	CHECK(argv[argc] == NULL);
	CHECK(env == environ);
	for (char** entry = env; *entry != NULL; entry++) {
		if (strncmp(*entry, "GUEST_", 6) == 0)
			printf("%s\n", *entry);
	}

	/* The list can be changed without touching what the kernel passed. */
	CHECK(setenv("OWN_VARIABLE", "one", 1) == 0 && strcmp(getenv("OWN_VARIABLE"), "one") == 0);
	CHECK(setenv("OWN_VARIABLE", "two", 0) == 0 && strcmp(getenv("OWN_VARIABLE"), "one") == 0);
	CHECK(setenv("OWN_VARIABLE", "two", 1) == 0 && strcmp(getenv("OWN_VARIABLE"), "two") == 0);
	CHECK(unsetenv("OWN_VARIABLE") == 0 && getenv("OWN_VARIABLE") == NULL);
	printf("ok\n");
	return argc > 2 && strcmp(argv[1], "--exit") == 0 ? atoi(argv[2]) : 0;
}
