/* Packed SSE2 arithmetic: integers, singles and doubles. */
#include "kernel.h"
#include <emmintrin.h>

#define COUNT 4096

static int16_t samples[COUNT] __attribute__((aligned(16)));
static float singles[COUNT] __attribute__((aligned(16)));
static double doubles[COUNT] __attribute__((aligned(16)));
static uint8_t pixels[2][COUNT] __attribute__((aligned(16)));

static __attribute__((noinline)) uint32_t filter(void)
{
	__m128i sum = _mm_setzero_si128();
	const __m128i weights = _mm_setr_epi16(3, -5, 7, 11, -13, 17, 19, -23);
	for (int i = 0; i < COUNT; i += 8) {
		__m128i value = _mm_load_si128((const __m128i*)&samples[i]);
		sum = _mm_add_epi32(sum, _mm_madd_epi16(value, weights));
		_mm_store_si128((__m128i*)&samples[i], _mm_adds_epi16(value, _mm_srai_epi16(_mm_shufflelo_epi16(value, 0x1b), 2)));
	}
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
	sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(sum);
}

static __attribute__((noinline)) uint32_t scale_floats(void)
{
	__m128 low = _mm_set1_ps(0.0f), high = _mm_set1_ps(100.0f), factor = _mm_set1_ps(1.0625f);
	__m128d sum = _mm_setzero_pd();
	for (int i = 0; i < COUNT; i += 4) {
		__m128 value = _mm_mul_ps(_mm_load_ps(&singles[i]), factor);
		__m128 above = _mm_cmpgt_ps(value, high);
		value = _mm_or_ps(_mm_and_ps(above, low), _mm_andnot_ps(above, value));
		_mm_store_ps(&singles[i], _mm_add_ps(value, _mm_set1_ps(0.25f)));
	}
	for (int i = 0; i < COUNT; i += 2) {
		__m128d value = _mm_load_pd(&doubles[i]);
		sum = _mm_add_pd(sum, value);
		_mm_store_pd(&doubles[i], _mm_max_pd(_mm_mul_pd(value, _mm_set1_pd(0.5)), _mm_set1_pd(1.0 + i)));
	}
	sum = _mm_add_sd(sum, _mm_unpackhi_pd(sum, sum));
	return (uint32_t)_mm_cvttsd_si32(_mm_mul_sd(sum, _mm_set_sd(0.125)));
}

static __attribute__((noinline)) uint32_t blend(void)
{
	__m128i difference = _mm_setzero_si128();
	for (int i = 0; i < COUNT; i += 16) {
		__m128i a = _mm_load_si128((const __m128i*)&pixels[0][i]);
		__m128i b = _mm_load_si128((const __m128i*)&pixels[1][i]);
		difference = _mm_add_epi64(difference, _mm_sad_epu8(a, b));
		_mm_store_si128((__m128i*)&pixels[0][i], _mm_avg_epu8(a, _mm_subs_epu8(b, _mm_set1_epi8(3))));
		_mm_store_si128((__m128i*)&pixels[1][i], _mm_xor_si128(_mm_slli_epi16(a, 1), b));
	}
	return (uint32_t)_mm_cvtsi128_si32(difference) + (uint32_t)_mm_movemask_epi8(difference);
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 130000);
	uint32_t state = 41, sum = 0;
	for (int i = 0; i < COUNT; i++) {
		samples[i] = (int16_t)next_random(&state);
		singles[i] = (float)(next_random(&state) % 1000) / 16;
		doubles[i] = (double)(next_random(&state) % 1000);
		pixels[0][i] = (uint8_t)next_random(&state);
		pixels[1][i] = (uint8_t)next_random(&state);
	}
	for (unsigned round = 0; round < scale; round++)
		sum = mix(mix(mix(sum, filter()), scale_floats()), blend());
	for (int i = 0; i < COUNT; i++)
		sum = mix(sum, (uint32_t)(int32_t)(singles[i] * 256));
	printf("sse2_vectors %08x\n", sum);
	return 0;
}
