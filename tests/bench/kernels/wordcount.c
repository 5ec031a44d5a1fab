/* Counts the words of a text in a hash table with chains. */
#include "kernel.h"

#define TEXT_SIZE 32768
#define BUCKETS 1024
#define MAX_WORDS 4096

struct word {
	struct word* next;
	const char* text;
	unsigned length, count;
};

static char text[TEXT_SIZE + 1];
static struct word words[MAX_WORDS];
static struct word* buckets[BUCKETS];
static unsigned word_count;

static void make_text(void)
{
	uint32_t state = 61;
	for (int i = 0; i < TEXT_SIZE; i++) {
		uint32_t random = next_random(&state) >> 16;
		text[i] = random % 5 == 0 ? (random % 35 == 0 ? '\n' : ' ') : (char)('a' + random % 7);
	}
}

static __attribute__((noinline)) void add(const char* at, unsigned length)
{
	uint32_t hash = 5381;
	for (unsigned i = 0; i < length; i++)
		hash = hash * 33 + (uint8_t)at[i];
	struct word** link = &buckets[hash % BUCKETS];
	for (; *link != NULL; link = &(*link)->next) {
		struct word* word = *link;
		unsigned i = 0;
		if (word->length != length)
			continue;
		while (i < length && word->text[i] == at[i])
			i++;
		if (i == length) {
			word->count++;
			return;
		}
	}
	if (word_count < MAX_WORDS) {
		words[word_count] = (struct word){NULL, at, length, 1};
		*link = &words[word_count++];
	}
}

static __attribute__((noinline)) uint32_t count_words(void)
{
	unsigned lines = 0;
	word_count = 0;
	memset(buckets, 0, sizeof(buckets));
	for (const char* at = text; *at != '\0';) {
		const char* start = at;
		while (*at >= 'a')
			at++;
		if (at != start)
			add(start, (unsigned)(at - start));
		for (; *at != '\0' && *at < 'a'; at++)
			lines += *at == '\n';
	}
	uint32_t sum = mix(lines, word_count);
	for (unsigned i = 0; i < word_count; i++)
		sum = mix(sum, words[i].count);
	return sum;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 2600);
	uint32_t sum = 0;
	make_text();
	for (unsigned round = 0; round < scale; round++) {
		text[round * 31 % TEXT_SIZE] = (char)('a' + round % 7);
		sum = mix(sum, count_words());
	}
	printf("wordcount %08x\n", sum);
	return 0;
}
