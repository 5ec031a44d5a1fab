/* An interpreter for a small stack machine: one unpredictable indirect jump per operation. */
#include "kernel.h"

enum op { PUSH, ADD, SUB, MUL, XOR, DUP, SWAP, LOAD, STORE, JUMP_NONZERO, DROP, SHIFT, STOP };

struct instruction {
	uint8_t op;
	int16_t argument;
};

static const struct instruction program[] = {
	{PUSH, 1}, {STORE, 0}, /* a = 1 */
	{PUSH, 1000}, {STORE, 1}, /* n = 1000 */
	{LOAD, 0}, {PUSH, 31}, {MUL, 0}, {LOAD, 1}, {ADD, 0}, {STORE, 0}, /* a = a * 31 + n */
	{LOAD, 0}, {DUP, 0}, {SHIFT, 7}, {XOR, 0}, {STORE, 2}, /* b = a ^ (a >> 7) */
	{LOAD, 2}, {LOAD, 3}, {SWAP, 0}, {SUB, 0}, {STORE, 3}, /* c = c - b */
	{LOAD, 2}, {PUSH, 1}, {DROP, 0}, {LOAD, 0}, {XOR, 0}, {STORE, 0}, /* a ^= b */
	{LOAD, 1}, {PUSH, 1}, {SUB, 0}, {DUP, 0}, {STORE, 1}, /* n = n - 1, kept for the jump */
	{JUMP_NONZERO, 4}, {STOP, 0},
};

static __attribute__((noinline)) uint32_t run(uint32_t seed)
{
	uint32_t stack[16], variables[8] = {0, 0, 0, seed};
	uint32_t* top = stack;
	for (const struct instruction* at = program;;) {
		const struct instruction* now = at++;
		switch ((enum op)now->op) {
			case PUSH:
				*top++ = (uint32_t)now->argument;
				break;
			case ADD:
				top--;
				top[-1] += top[0];
				break;
			case SUB:
				top--;
				top[-1] -= top[0];
				break;
			case MUL:
				top--;
				top[-1] *= top[0];
				break;
			case XOR:
				top--;
				top[-1] ^= top[0];
				break;
			case DUP:
				top[0] = top[-1];
				top++;
				break;
			case SWAP: {
				uint32_t value = top[-1];
				top[-1] = top[-2];
				top[-2] = value;
				break;
			}
			case LOAD:
				*top++ = variables[now->argument];
				break;
			case STORE:
				variables[now->argument] = *--top;
				break;
			case JUMP_NONZERO:
				if (*--top != 0)
					at = program + now->argument;
				break;
			case DROP:
				top--;
				break;
			case SHIFT:
				top[-1] >>= now->argument;
				break;
			case STOP:
				return variables[0] ^ variables[3];
		}
	}
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 9000);
	uint32_t sum = 0;
	for (unsigned round = 0; round < scale; round++)
		sum = mix(sum, run(sum));
	printf("interp %08x\n", sum);
	return 0;
}
