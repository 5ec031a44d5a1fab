/* Looks for the symmetries of graphs with nauty: a search over partitions, backtracking. */
#include "program.h"
#include <nauty.h>

#define SIZE 113

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 2500);
	static graph input[SIZE * SETWORDSNEEDED(SIZE)], canonical[SIZE * SETWORDSNEEDED(SIZE)];
	static int labels[SIZE], partition[SIZE], orbits[SIZE];
	static DEFAULTOPTIONS_GRAPH(options);
	options.getcanon = TRUE;
	statsblk stats;
	int words = SETWORDSNEEDED(SIZE);
	uint32_t random = 7, sum = 0x811c9dc5;
	for (unsigned round = 0; round < scale; round++) {
		/* Paley's graph: vertices a square apart are neighbours; renumbered at random, an edge dropped in some rounds. */
		int number[SIZE];
		for (int n = 0; n < SIZE; n++)
			number[n] = n;
		for (int n = SIZE - 1; n > 0; n--) {
			int other = next_random(&random) % (n + 1), kept = number[n];
			number[n] = number[other];
			number[other] = kept;
		}
		EMPTYGRAPH(input, words, SIZE);
		for (int a = 0; a < SIZE; a++) {
			for (int x = 1; x < SIZE; x++)
				ADDONEEDGE(input, number[a], number[(a + x * x) % SIZE], words);
		}
		if (round % 3 == 1)
			DELONEEDGE(input, number[0], number[1], words);
		densenauty(input, labels, partition, orbits, &options, &stats, words, SIZE, canonical);
		sum = checksum(checksum(sum, canonical, sizeof(canonical)), &stats.numorbits, sizeof(int));
	}
	printf("nauty %08x\n", sum);
	return 0;
}
