/* Memory and string functions at all alignments, number parsing, sorting. */
#include "check.h"
#include <limits.h>
#include <strings.h>

static unsigned char from[512], to[512], expected[512];

static void check_copies(void)
{
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (unsigned char)(i * 37 + 11);
	for (unsigned a = 0; a < 17; a++) {
		for (unsigned b = 0; b < 17; b++) {
			for (unsigned length = 0; length < 140; length++) {
				memset(to, 0xee, sizeof(to));
				for (unsigned i = 0; i < sizeof(to); i++)
					expected[i] = i >= b && i < b + length ? from[a + i - b] : 0xee;
				CHECK(memcpy(to + b, from + a, length) == to + b);
				CHECK(memcmp(to, expected, sizeof(to)) == 0);
			}
		}
	}
	for (unsigned length = 0; length < 200; length++) {
		memset(to, 1, sizeof(to));
		CHECK(memset(to + length % 9, 0x5a, length) == to + length % 9);
		for (unsigned i = 0; i < sizeof(to); i++)
			CHECK(to[i] == (i >= length % 9 && i < length % 9 + length ? 0x5a : 1));
	}
	for (int shift = -20; shift <= 20; shift++) {
		for (unsigned i = 0; i < sizeof(to); i++)
			to[i] = expected[i] = (unsigned char)i;
		for (unsigned i = 0; i < 100; i++)
			expected[200 + shift + (int)i] = (unsigned char)(200 + i);
		memmove(to + 200 + shift, to + 200, 100);
		CHECK(memcmp(to, expected, sizeof(to)) == 0);
	}
	static unsigned char large_from[10000], large_to[10000];
	for (unsigned i = 0; i < sizeof(large_from); i++)
		large_from[i] = (unsigned char)(i ^ i >> 8);
	memcpy(large_to + 3, large_from + 1, 9990);
	CHECK(memcmp(large_to + 3, large_from + 1, 9990) == 0 && large_to[2] == 0 && large_to[9993] == 0);
}

static void check_strings(void)
{
	char text[300];
	for (unsigned start = 0; start < 20; start++) {
		for (unsigned length = 0; length < 200; length++) {
			memset(text, 'x', sizeof(text));
			text[start + length] = '\0';
			CHECK(strlen(text + start) == length);
		}
	}
	CHECK(strcmp("abc", "abd") < 0 && strcmp("b", "abd") > 0 && strcmp("", "") == 0 && strcmp("\xff", "a") > 0);
	CHECK(strncmp("abcdef", "abcxyz", 3) == 0 && strncmp("abcdef", "abcxyz", 4) < 0);
	CHECK(strcasecmp("HeLLo", "hEllO") == 0 && strncasecmp("ABx", "aby", 2) == 0);
	const char* sentence = "the cat sat on the mat";
	CHECK(strchr(sentence, 'c') == sentence + 4 && strchr(sentence, 'z') == NULL && *strchr(sentence, 0) == 0);
	CHECK(strrchr(sentence, 't') == sentence + 21 && strstr(sentence, "the m") == sentence + 15);
	CHECK(strstr(sentence, "dog") == NULL && strspn(sentence, "eht") == 3 && strcspn(sentence, " ") == 3);
	CHECK(memchr(sentence, 'o', 5) == NULL && memchr(sentence, 'o', 13) == sentence + 12);
	CHECK(strcmp(strcat(strcpy(text, "one"), "two"), "onetwo") == 0);
	CHECK(strlcpy(text, "0123456789", 5) == 10 && strcmp(text, "0123") == 0 && strlcat(text, "xyz", 6) == 7);
	char words[] = "a,,b;c";
	char* save;
	CHECK(strcmp(strtok_r(words, ",;", &save), "a") == 0 && strcmp(strtok_r(NULL, ",;", &save), "b") == 0);
	CHECK(strcmp(strtok_r(NULL, ",;", &save), "c") == 0 && strtok_r(NULL, ",;", &save) == NULL);
	char* copy = strdup(sentence);
	CHECK(copy != NULL && copy != sentence && strcmp(copy, sentence) == 0);
	free(copy);
	CHECK(strcmp(strerror(ENOENT), "No such file or directory") == 0);
}

static void check_numbers(void)
{
	char* end;
	CHECK(strtol(" -123x", &end, 10) == -123 && *end == 'x');
	CHECK(strtol("0x1F", NULL, 0) == 31 && strtol("077", NULL, 0) == 63 && strtol("zz", NULL, 36) == 1295);
	CHECK(strtoll("-9223372036854775808", NULL, 10) == LLONG_MIN);
	errno = 0;
	CHECK(strtoll("9223372036854775808", NULL, 10) == LLONG_MAX && errno == ERANGE);
	CHECK(strtoull("18446744073709551615", NULL, 10) == ULLONG_MAX);
	CHECK(atoi("42abc") == 42);
	CHECK(strtod("1.5e3", &end) == 1500.0 && *end == '\0' && strtod("-0.125", NULL) == -0.125);
	CHECK(strtod("1e", &end) == 1.0 && *end == 'e');
	volatile uint64_t a = 0xfedcba9876543210, b = 0x1234567;
	CHECK(a / b == 962072701408u && a % b == 14576);
	volatile int64_t c = -1000000000000000003, d = 9000000000;
	CHECK(c / d == -111111111 && c % d == -1000000003);
	volatile uint64_t e = 0x8000000100000001;
	CHECK(a / e == 1 && a % e == 0x7edcba977654320f && a / 0xffffffffu == 4275878553u);
	volatile double f = 18446744073709549568.0;
	CHECK((uint64_t)f == 18446744073709549568u && (double)(uint64_t)f == f);
}

static int compare_ints(const void* a, const void* b)
{
	int x = *(const int*)a, y = *(const int*)b;
	return x < y ? -1 : x > y;
}

static void check_sorting(void)
{
	static int numbers[5000];
	const int patterns = 5;
	for (int pattern = 0; pattern < patterns; pattern++) {
		unsigned state = 1;
		long sum = 0, sorted_sum = 0;
		for (int i = 0; i < 5000; i++) {
			state = state * 1664525 + 1013904223;
			int values[] = {(int)(state >> 1), i, 5000 - i, 7, i % 2 ? i : -i};
			sum += numbers[i] = values[pattern];
		}
		qsort(numbers, 5000, sizeof(int), compare_ints);
		for (int i = 0; i < 5000; i++) {
			CHECK(i == 0 || numbers[i - 1] <= numbers[i]);
			sorted_sum += numbers[i];
		}
		CHECK(sum == sorted_sum);
	}
	int key = numbers[1234];
	int* found = bsearch(&key, numbers, 5000, sizeof(int), compare_ints);
	CHECK(found != NULL && *found == key);
	key = 1 << 30;
	CHECK(bsearch(&key, numbers, 5000, sizeof(int), compare_ints) == NULL);
}

int main(void)
{
	check_copies();
	check_strings();
	check_numbers();
	check_sorting();
	printf("strings: copies, strings, numbers, sorting\nok\n");
	return 0;
}
