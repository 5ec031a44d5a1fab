/* An add-on that the program `shared_libraries` loads while it runs. */
#include <string.h>

__attribute__((visibility("default"))) int plugin_loaded;
static __thread int calls = 10;

static void __attribute__((constructor)) construct(void)
{
	plugin_loaded = 77;
}

__attribute__((visibility("default"))) int plugin_length(const char* text)
{
	return (int)strlen(text) + calls++;
}
