/* The smallest program with output. */
#include <stdio.h>

int main(void)
{
	printf("Hello, Haiku!\n");
	return 0;
}
