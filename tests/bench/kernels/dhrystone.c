/* In the manner of the Dhrystone: records, string comparison and copying, small calls, global variables. */
#include "kernel.h"

struct record {
	struct record* link;
	int kind, choice, count;
	char text[31];
};

static struct record first, second;
static int global_count;
static char global_flag;
static int table[50];
static int grid[50][50];

static __attribute__((noinline)) int choose(int a, int b)
{
	return a == b ? 0 : a > b ? 1 : 2;
}

static __attribute__((noinline)) int compare_texts(const char* a, const char* b)
{
	if (strcmp(a, b) > 0) {
		global_count += 7;
		return 1;
	}
	return 0;
}

static __attribute__((noinline)) void fill_arrays(int base, int value)
{
	int at = base % 40 + 5;
	table[at] = value;
	table[at + 1] = table[at];
	table[at + 4] = at;
	for (int i = at; i <= at + 1; i++)
		grid[at][i] = at;
	grid[at][at - 1]++;
	grid[at + 4][at] = table[at];
	global_count = 5;
}

static __attribute__((noinline)) void visit_record(struct record* record)
{
	struct record* next = record->link;
	*next = *record;
	next->count = 5;
	next->link = record->link;
	next->choice = choose(next->kind, record->count);
	if (next->kind == 0) {
		next->count = 6 + global_count;
		next->link = record;
	} else
		*record = *next;
	next->link = record;
	record->link = next;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 15000000);
	char buffer[31];
	uint32_t sum = 0;
	first.link = &second;
	second.link = &first;
	first.kind = 0;
	first.count = 40;
	strcpy(first.text, "DHRYSTONE PROGRAM, SOME STRING");
	for (unsigned round = 0; round < scale; round++) {
		strcpy(buffer, "DHRYSTONE PROGRAM, 2'ND STRING");
		buffer[19] = (char)('1' + round % 9);
		global_flag = (char)!compare_texts(first.text, buffer);
		fill_arrays((int)round, (int)(round * 7));
		visit_record(&first);
		for (char c = 'A'; c <= 'C' + global_flag; c++) {
			if (choose(c, 'C') == 0)
				global_count++;
		}
		sum += (uint32_t)(first.count + second.choice + table[round % 50] + grid[round % 50][8] + global_count);
	}
	printf("dhrystone %08x\n", mix(0, sum));
	return 0;
}
