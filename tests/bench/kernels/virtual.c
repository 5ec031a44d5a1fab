/* Calls through tables of functions, as C++ virtual functions are: indirect calls with several targets. */
#include "kernel.h"

struct shape;
struct shape_table {
	uint32_t (*area)(const struct shape*);
	void (*grow)(struct shape*, uint32_t);
	uint32_t (*kind)(const struct shape*);
};

struct shape {
	const struct shape_table* table;
	uint32_t width, height;
};

static uint32_t square_area(const struct shape* s) { return s->width * s->width; }
static uint32_t box_area(const struct shape* s) { return s->width * s->height; }
static uint32_t triangle_area(const struct shape* s) { return s->width * s->height / 2; }
static uint32_t ring_area(const struct shape* s) { return s->width * s->width * 3 - s->height * s->height * 3; }
static void grow_width(struct shape* s, uint32_t by) { s->width = (s->width + by) & 0xfff; }
static void grow_both(struct shape* s, uint32_t by)
{
	s->width = (s->width + by) & 0xfff;
	s->height = (s->height ^ by) & 0xfff;
}
static uint32_t kind_zero(const struct shape* s) { return s->width & 1; }
static uint32_t kind_one(const struct shape* s) { return (s->height & 1) + 2; }

static const struct shape_table tables[4] = {
	{square_area, grow_width, kind_zero},
	{box_area, grow_both, kind_one},
	{triangle_area, grow_both, kind_zero},
	{ring_area, grow_width, kind_one},
};

static struct shape shapes[256];

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 350000);
	uint32_t state = 31, sum = 0;
	for (int i = 0; i < 256; i++) {
		shapes[i].table = &tables[next_random(&state) >> 30];
		shapes[i].width = next_random(&state) & 0xfff;
		shapes[i].height = next_random(&state) & 0xfff;
	}
	for (unsigned round = 0; round < scale; round++) {
		for (int i = 0; i < 256; i++) {
			struct shape* shape = &shapes[i];
			sum += shape->table->area(shape) ^ shape->table->kind(shape);
			shape->table->grow(shape, sum & 7);
		}
	}
	printf("virtual %08x\n", sum);
	return 0;
}
