/* needs: libextra */
/* Shared libraries: symbol preemption, data across images, constructors, thread-local variables, add-ons. */
#include "check.h"
#include <image.h>
#include <pthread.h>

extern int extra_number, extra_constructed;
extern __thread int extra_thread_count;
extern int (*const extra_functions[2])(void);
extern int* const extra_pointer;
int extra_call_replaceable(void);
int extra_count_in_thread(void);
void missing_function(void) __attribute__((weak));

/* Comes before the library's own: the program is searched first. */
__attribute__((visibility("default"))) int extra_replaceable(void)
{
	return 2;
}

static int own_constructed;
static __thread int own_thread_value = 7;

static void __attribute__((constructor)) construct(void)
{
	own_constructed = extra_constructed;
}

static void* use_thread_variables(void* unused)
{
	(void)unused;
	CHECK(extra_thread_count == 100 && own_thread_value == 7);
	own_thread_value = 8;
	extra_count_in_thread();
	CHECK(extra_thread_count == 101);
	return &own_thread_value;
}

int main(int argc, char** argv)
{
	CHECK(own_constructed == 6 && extra_constructed == 6);
	CHECK(extra_call_replaceable() == 2 && extra_functions[0]() == 2 && extra_functions[1]() == 2);
	extra_number = 9;
	CHECK(extra_pointer == &extra_number && *extra_pointer == 9);
	CHECK(missing_function == NULL);

	volatile int* own = &own_thread_value;
	CHECK(*own == 7);
	for (int i = 0; i < 5; i++)
		CHECK(extra_thread_count == 100 + i && extra_count_in_thread() > 100);
	if (argc < 2 || strcmp(argv[1], "--single") != 0) {
		pthread_t thread;
		void* other;
		CHECK(pthread_create(&thread, NULL, use_thread_variables, NULL) == 0 && pthread_join(thread, &other) == 0);
		CHECK(other != own);
	}
	CHECK(own_thread_value == 7 && extra_thread_count == 105);

	image_id plugin = load_add_on("/boot/system/lib/libplugin.so");
	CHECK(plugin > 0 && load_add_on("/boot/system/lib/libplugin.so") == plugin);
	int (*length)(const char*);
	int* loaded;
	CHECK(get_image_symbol(plugin, "plugin_length", B_SYMBOL_TYPE_TEXT, (void**)&length) == B_OK);
	CHECK(get_image_symbol(plugin, "plugin_loaded", B_SYMBOL_TYPE_DATA, (void**)&loaded) == B_OK && *loaded == 77);
	CHECK(get_image_symbol(plugin, "nothing", B_SYMBOL_TYPE_ANY, (void**)&loaded) != B_OK);
	CHECK(length("four") == 14 && length("four") == 15);
	CHECK(load_add_on("/boot/system/lib/none.so") == B_ENTRY_NOT_FOUND);
	image_info info;
	CHECK(get_image_info(plugin, &info) == B_OK && info.type == B_ADD_ON_IMAGE);
	printf("shared_libraries: preemption, data, constructors, thread variables, add-ons\nok\n");
	return 0;
}
