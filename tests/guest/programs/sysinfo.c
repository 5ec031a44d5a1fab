/* What the system says of itself: system information, images, team and thread, directories. With `--all` it prints what
 * differs from machine to machine as well. */
#include "check.h"
#include <OS.h>
#include <image.h>

static void list_images(bool all)
{
	int32 cookie = 0;
	image_info info;
	int apps = 0, libroots = 0;
	bool main_is_in_app = false;
	while (get_next_image_info(B_CURRENT_TEAM, &cookie, &info) == B_OK) {
		const char* leaf = strrchr(info.name, '/');
		leaf = leaf != NULL ? leaf + 1 : info.name;
		if (all)
			printf("image %d type %d %s text %p %d data %p %d\n", (int)info.id, (int)info.type, info.name, info.text,
				(int)info.text_size, info.data, (int)info.data_size);
		libroots += strcmp(leaf, "libroot.so") == 0;
		if (info.type == B_APP_IMAGE) {
			apps++;
			main_is_in_app = (addr_t)list_images - (addr_t)info.text < (addr_t)info.text_size;
		}
		image_info again;
		CHECK(get_image_info(info.id, &again) == B_OK && again.text == info.text);
	}
	CHECK(apps == 1 && libroots == 1 && main_is_in_app);
	CHECK(get_image_info(-5, &info) != B_OK);
}

static void check_system(bool all)
{
	system_info info;
	CHECK(get_system_info(&info) == B_OK && info.cpu_count >= 1 && info.cpu_count <= 4096);
	if (all)
		printf("%u processors, %llu pages, kernel \"%s\"\n", (unsigned)info.cpu_count,
			(unsigned long long)info.max_pages, info.kernel_name);
}

static void check_thread(void)
{
	thread_info info;
	thread_id self = find_thread(NULL);
	CHECK(get_thread_info(self, &info) == B_OK && info.thread == self && info.team == getpid());
	char local;
	CHECK((addr_t)&local >= (addr_t)info.stack_base && (addr_t)&local < (addr_t)info.stack_end);
	CHECK(get_thread_info(-7, &info) != B_OK);
	team_info team;
	CHECK(get_team_info(B_CURRENT_TEAM, &team) == B_OK && team.team == getpid() && team.thread_count >= 1);
}

int main(int argc, char** argv)
{
	bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
	check_system(all);
	list_images(all);
	if (argc < 2 || strcmp(argv[1], "--no-threads") != 0)
		check_thread();
	char path[256];
	CHECK(find_directory(B_SYSTEM_LIB_DIRECTORY, -1, false, path, sizeof(path)) == B_OK);
	CHECK(strcmp(path, "/boot/system/lib") == 0);
	CHECK(find_directory(B_SYSTEM_LIB_DIRECTORY, -1, false, path, 5) == E2BIG);
	CHECK(getpid() > 0 && getppid() > 0);
	printf("sysinfo: system, images, threads, directories\nok\n");
	return 0;
}
