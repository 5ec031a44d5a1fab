/*
 * What the benchmark kernels share. Each kernel runs `scale` rounds of its work (first argument, else its default, which
 * takes about 0.4 s natively) and prints one line with a checksum that depends on all of it.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline unsigned kernel_scale(int argc, char** argv, unsigned standard)
{
	return argc > 1 ? (unsigned)atoi(argv[1]) : standard;
}

/* A stream of numbers that look random: xorshift with 32 bits of state, never 0. */
static inline uint32_t next_random(uint32_t* state)
{
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* Mixes a value into a checksum. */
static inline uint32_t mix(uint32_t sum, uint32_t value)
{
	sum ^= value;
	sum *= 0x9e3779b1u;
	return sum ^ (sum >> 15);
}
