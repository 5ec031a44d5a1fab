/* A linked list that is searched and sorted, an integer matrix, and a state machine over text: small mixed code. */
#include "kernel.h"

#define NODES 256
#define SIDE 24

struct node {
	struct node* next;
	int16_t key, value;
};

static struct node nodes[NODES];

static struct node* build_list(uint32_t* state)
{
	for (int i = 0; i < NODES; i++) {
		nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
		nodes[i].key = (int16_t)(next_random(state) & 0x7fff);
		nodes[i].value = (int16_t)i;
	}
	return nodes;
}

static __attribute__((noinline)) struct node* merge(struct node* a, struct node* b)
{
	struct node head, *tail = &head;
	while (a != NULL && b != NULL) {
		struct node** from = a->key <= b->key ? &a : &b;
		tail->next = *from;
		tail = *from;
		*from = tail->next;
	}
	tail->next = a != NULL ? a : b;
	return head.next;
}

static __attribute__((noinline)) struct node* sort(struct node* list, int count)
{
	if (count <= 1) {
		if (list != NULL)
			list->next = NULL;
		return list;
	}
	struct node* second = list;
	for (int i = 0; i < count / 2; i++)
		second = second->next;
	struct node* right = sort(second, count - count / 2);
	return merge(sort(list, count / 2), right);
}

static __attribute__((noinline)) int find(const struct node* list, int key)
{
	for (; list != NULL; list = list->next) {
		if (list->key >= key)
			return list->value;
	}
	return -1;
}

static __attribute__((noinline)) uint32_t multiply_matrix(uint32_t seed)
{
	static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
	static int32_t product[SIDE][SIDE];
	uint32_t sum = 0;
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++) {
			a[i][j] = (int16_t)(seed + (uint32_t)(i * j));
			b[i][j] = (int16_t)(seed * 3 + (uint32_t)(i + j));
		}
	}
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++) {
			int32_t cell = 0;
			for (int k = 0; k < SIDE; k++)
				cell += a[i][k] * b[k][j];
			product[i][j] = cell;
		}
	}
	for (int i = 0; i < SIDE; i++) {
		for (int j = 0; j < SIDE; j++)
			sum = mix(sum, (uint32_t)product[j][i]);
	}
	return sum;
}

enum state { START, INTEGER, FRACTION, EXPONENT, WORD, INVALID, STATES };

static __attribute__((noinline)) uint32_t run_states(const char* text)
{
	unsigned counts[STATES] = {0};
	enum state state = START;
	for (; *text != '\0'; text++) {
		char c = *text;
		switch (state) {
			case START:
				state = c >= '0' && c <= '9' ? INTEGER : c >= 'a' && c <= 'z' ? WORD : c == ' ' ? START : INVALID;
				break;
			case INTEGER:
				state = c == '.' ? FRACTION : c == 'e' ? EXPONENT : c == ' ' ? START : c >= '0' && c <= '9' ? INTEGER : INVALID;
				break;
			case FRACTION:
				state = c == 'e' ? EXPONENT : c == ' ' ? START : c >= '0' && c <= '9' ? FRACTION : INVALID;
				break;
			case EXPONENT:
				state = c == ' ' ? START : (c >= '0' && c <= '9') || c == '-' ? EXPONENT : INVALID;
				break;
			case WORD:
			default:
				state = c == ' ' ? START : state;
		}
		counts[state]++;
	}
	uint32_t sum = 0;
	for (int i = 0; i < STATES; i++)
		sum = mix(sum, counts[i]);
	return sum;
}

int main(int argc, char** argv)
{
	static const char text[] = "12 3.5 1e9 hello 7.25e-3 x9 99999 1.2.3 abc def 0.001 42 4e4e .5 world 123456789 ";
	unsigned scale = kernel_scale(argc, argv, 18000);
	uint32_t state = 99, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		struct node* list = sort(build_list(&state), NODES);
		for (int i = 0; i < 8; i++)
			sum = mix(sum, (uint32_t)find(list, (int)(next_random(&state) & 0x7fff)));
		sum = mix(sum, multiply_matrix(round));
		for (int i = 0; i < 4; i++)
			sum = mix(sum, run_states(text + i));
	}
	printf("listmatrix %08x\n", sum);
	return 0;
}
