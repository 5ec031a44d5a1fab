/* Areas and mapped memory: creation, resizing, cloning, protection, files, splitting. */
#include "check.h"
#include <OS.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PAGE 4096

static void check_areas(void)
{
	char* address = NULL;
	area_id area = create_area("guest test area", (void**)&address, B_ANY_ADDRESS, 4 * PAGE, B_NO_LOCK,
		B_READ_AREA | B_WRITE_AREA);
	CHECK(area > 0 && address != NULL && (addr_t)address % PAGE == 0);
	for (int i = 0; i < 4 * PAGE; i++)
		CHECK(address[i] == 0);
	memset(address, 0x77, 4 * PAGE);
	CHECK(area_for(address) == area && area_for(address + 4 * PAGE - 1) == area);
	CHECK(find_area("guest test area") == area && find_area("no such area") == B_NAME_NOT_FOUND);
	area_info info;
	CHECK(get_area_info(area, &info) == B_OK && info.area == area && info.address == address && info.size == 4 * PAGE);
	CHECK(strcmp(info.name, "guest test area") == 0 && (info.protection & 3) == (B_READ_AREA | B_WRITE_AREA));
	CHECK(resize_area(area, 2 * PAGE) == B_OK && get_area_info(area, &info) == B_OK && info.size == 2 * PAGE);
	CHECK(resize_area(area, 3 * PAGE) == B_OK && address[2 * PAGE - 1] == 0x77 && address[2 * PAGE] == 0);

	char* clone = NULL;
	area_id cloned = clone_area("guest test clone", (void**)&clone, B_ANY_ADDRESS, B_READ_AREA | B_WRITE_AREA, area);
	CHECK(cloned > 0 && cloned != area && clone != address);
	address[5] = 12;
	CHECK(clone[5] == 12);
	clone[PAGE + 6] = 13;
	CHECK(address[PAGE + 6] == 13);
	CHECK(delete_area(cloned) == B_OK && address[PAGE + 6] == 13);
	CHECK(delete_area(area) == B_OK && delete_area(area) == B_BAD_VALUE);

	area = create_area("odd size", (void**)&address, B_ANY_ADDRESS, PAGE + 1, B_NO_LOCK, B_READ_AREA);
	CHECK(area > 0 && get_area_info(area, &info) == B_OK && info.size == 2 * PAGE && delete_area(area) == B_OK);
	CHECK(create_area("bad", (void**)&address, B_ANY_ADDRESS, 0, B_NO_LOCK, B_READ_AREA) == B_BAD_VALUE);
	CHECK(create_area("bad", (void**)&address, 99, PAGE, B_NO_LOCK, B_READ_AREA) == B_BAD_VALUE);
}

static void check_anonymous(void)
{
	char* block = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(block != MAP_FAILED);
	for (int i = 0; i < 5; i++)
		block[i * PAGE] = (char)('a' + i);
	CHECK(munmap(block + 2 * PAGE, PAGE) == 0);
	CHECK(block[PAGE] == 'b' && block[3 * PAGE] == 'd');
	char* hole = mmap(block + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(hole == block + 2 * PAGE && hole[0] == 0);
	char* over = mmap(block + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(over == block + PAGE && over[0] == 0 && block[0] == 'a' && block[4 * PAGE] == 'e');
	CHECK(mprotect(block, PAGE, PROT_READ) == 0 && block[0] == 'a');
	CHECK(mprotect(block, PAGE, PROT_READ | PROT_WRITE) == 0);
	block[0] = 'A';
	CHECK(munmap(block, 5 * PAGE) == 0);
	CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED && errno == EBADF);
}

static void check_files(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0);
	char text[3 * PAGE];
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)(i / PAGE * 50 + i % 50);
	CHECK(write(fd, text, sizeof(text) - 100) == (ssize_t)sizeof(text) - 100);
	char* shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char* private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	CHECK(memcmp(shared, text, sizeof(text) - 100) == 0 && shared[sizeof(text) - 1] == 0);
	CHECK(memcmp(private, text + PAGE, PAGE) == 0);
	private[1] = 99;
	CHECK(shared[PAGE + 1] != 99);
	shared[10] = 111;
	CHECK(msync(shared, PAGE, MS_SYNC) == 0 && pread(fd, text, 1, 10) == 1 && text[0] == 111);
	CHECK(munmap(shared, 3 * PAGE) == 0 && munmap(private, 2 * PAGE) == 0 && close(fd) == 0 && unlink("mapped") == 0);
}

int main(int argc, char** argv)
{
	enter_scratch_dir(argc, argv, "memory");
	check_areas();
	check_anonymous();
	check_files();
	leave_scratch_dir();
	printf("memory: areas, anonymous mappings, files\nok\n");
	return 0;
}
