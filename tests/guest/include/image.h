/* Images: what the runtime loader has mapped. */
#pragma once
#include <OS.h>

typedef int32 image_id;

#define B_APP_IMAGE 1
#define B_LIBRARY_IMAGE 2
#define B_ADD_ON_IMAGE 3
#define B_SYSTEM_IMAGE 4
#define B_SYMBOL_TYPE_DATA 1
#define B_SYMBOL_TYPE_TEXT 2
#define B_SYMBOL_TYPE_ANY 5

typedef struct {
	image_id id;
	int32 type;
	int32 sequence;
	int32 init_order;
	void (*init_routine)(void);
	void (*term_routine)(void);
	dev_t device;
	ino_t node;
	char name[1024];
	void* text;
	void* data;
	int32 text_size;
	int32 data_size;
	int32 api_version;
	int32 abi;
} image_info;
_Static_assert(sizeof(image_info) == (sizeof(void*) == 8 ? 1104 : 1084), "image_info");

thread_id load_image(int32 argc, const char** argv, const char** environ);
status_t get_image_info(image_id image, image_info* info);
status_t get_next_image_info(team_id team, int32* cookie, image_info* info);
image_id load_add_on(const char* path);
status_t unload_add_on(image_id image);
status_t get_image_symbol(image_id image, const char* name, int32 type, void** location);
