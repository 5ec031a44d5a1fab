/* Files through stdio and through descriptors. Argument: the directory for its scratch files. */
#include "check.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void check_streams(void)
{
	FILE* file = fopen("stream", "w+");
	CHECK(file != NULL);
	for (int i = 0; i < 2000; i++)
		CHECK(fprintf(file, "line %d of the file\n", i) > 0);
	CHECK(ftell(file) == 10 * 19 + 90 * 20 + 900 * 21 + 1000 * 22);
	rewind(file);
	char line[64], expected[64];
	for (int i = 0; i < 2000; i++) {
		snprintf(expected, sizeof(expected), "line %d of the file\n", i);
		CHECK(fgets(line, sizeof(line), file) != NULL && strcmp(line, expected) == 0);
	}
	CHECK(fgets(line, sizeof(line), file) == NULL && feof(file) && !ferror(file));
	CHECK(fseek(file, 5, SEEK_SET) == 0 && fgetc(file) == '0' && ungetc('0', file) == '0' && fgetc(file) == '0');
	CHECK(ftell(file) == 6 && fwrite("!", 1, 1, file) == 1 && fseek(file, 0, SEEK_SET) == 0);
	CHECK(fgets(line, sizeof(line), file) != NULL && strcmp(line, "line 0!of the file\n") == 0);
	CHECK(fclose(file) == 0);

	file = fopen("stream", "a");
	CHECK(file != NULL && fputs("appended\n", file) == 0 && fclose(file) == 0);
	struct stat info;
	CHECK(stat("stream", &info) == 0 && info.st_size == 10 * 19 + 90 * 20 + 900 * 21 + 1000 * 22 + 9);
	CHECK(S_ISREG(info.st_mode) && info.st_nlink == 1);

	static char block[20000], back[20000];
	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = (char)(i % 251);
	file = fopen("stream", "w+");
	CHECK(file != NULL && fwrite(block, 1, sizeof(block), file) == sizeof(block));
	rewind(file);
	CHECK(fread(back, 100, 200, file) == 200 && memcmp(block, back, sizeof(block)) == 0);
	CHECK(fread(back, 1, 1, file) == 0 && fclose(file) == 0);
	CHECK(fopen("missing", "r") == NULL && errno == ENOENT);
	CHECK(remove("stream") == 0);
}

static void check_descriptors(void)
{
	int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0);
	CHECK(open("data", O_RDWR | O_CREAT | O_EXCL, 0644) == -1 && errno == EEXIST);
	CHECK(write(fd, "0123456789", 10) == 10);
	char text[32] = "";
	CHECK(pread(fd, text, 4, 3) == 4 && memcmp(text, "3456", 4) == 0);
	CHECK(pwrite(fd, "xy", 2, 5) == 2 && lseek(fd, 0, SEEK_CUR) == 10);
	CHECK(lseek(fd, -6, SEEK_END) == 4 && read(fd, text, 32) == 6 && memcmp(text, "4xy789", 6) == 0);
	CHECK(read(fd, text, 32) == 0);

	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	CHECK(writev(fd, out, 3) == 5 && lseek(fd, 10, SEEK_SET) == 10);
	char first[3], second[8];
	struct iovec in[2] = {{first, 3}, {second, 8}};
	CHECK(readv(fd, in, 2) == 5 && memcmp(first, "abc", 3) == 0 && memcmp(second, "de", 2) == 0);

	CHECK(ftruncate(fd, 3) == 0 && lseek(fd, 0, SEEK_END) == 3);
	off_t far = ((off_t)5 << 32) + 7;
	CHECK(lseek(fd, far, SEEK_SET) == far && write(fd, "!", 1) == 1 && lseek(fd, 0, SEEK_CUR) == far + 1);
	struct stat info;
	CHECK(fstat(fd, &info) == 0 && info.st_size == far + 1);
	CHECK(pread(fd, text, 1, far) == 1 && text[0] == '!' && pread(fd, text, 1, far - 1) == 1 && text[0] == '\0');

	int copy = dup(fd);
	CHECK(copy >= 0 && copy != fd && lseek(copy, 1, SEEK_SET) == 1 && lseek(fd, 0, SEEK_CUR) == 1);
	CHECK(dup2(fd, 20) == 20 && close(20) == 0 && close(copy) == 0);
	CHECK(close(fd) == 0 && close(fd) == -1 && errno == EBADF);
	CHECK(read(99, text, 1) == -1 && errno == EBADF);
	CHECK(unlink("data") == 0 && unlink("data") == -1 && errno == ENOENT);
}

int main(int argc, char** argv)
{
	enter_scratch_dir(argc, argv, "stdio");
	check_streams();
	check_descriptors();
	leave_scratch_dir();
	printf("stdio: streams, descriptors\nok\n");
	return 0;
}
