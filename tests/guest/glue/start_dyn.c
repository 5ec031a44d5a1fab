/* Linked into every program: where the runtime loader enters it. */
#include <stdlib.h>

int main(int argc, char** argv, char** env);

void _start(int argc, char** argv, char** env)
{
	exit(main(argc, argv, env));
}
