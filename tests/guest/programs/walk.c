/* Walks a directory tree and prints it sorted: `walk DIR`. Without an argument, or with `--check DIR`, it makes a tree
 * (in DIR) with all kinds of entries, prints and removes it. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define MAX_ENTRIES 512

static int compare_names(const void* a, const void* b)
{
	return strcmp(*(char* const*)a, *(char* const*)b);
}

static int total;

static void walk(const char* path, int depth)
{
	char* names[MAX_ENTRIES];
	int count = 0;
	DIR* dir = opendir(path);
	CHECK(dir != NULL);
	struct dirent* entry;
	while ((entry = readdir(dir)) != NULL && count < MAX_ENTRIES) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names[count++] = strdup(entry->d_name);
	}
	CHECK(closedir(dir) == 0);
	qsort(names, count, sizeof(names[0]), compare_names);
	for (int i = 0; i < count; i++) {
		char child[1024], target[256];
		struct stat info;
		snprintf(child, sizeof(child), "%s/%s", path, names[i]);
		CHECK(lstat(child, &info) == 0);
		total++;
		printf("%*s%s", depth * 2, "", names[i]);
		if (S_ISDIR(info.st_mode)) {
			printf("/\n");
			walk(child, depth + 1);
		} else if (S_ISLNK(info.st_mode)) {
			ssize_t length = readlink(child, target, sizeof(target) - 1);
			CHECK(length >= 0);
			target[length] = '\0';
			printf(" -> %s\n", target);
		} else
			printf(" %lld\n", (long long)info.st_size);
		free(names[i]);
	}
}

static void make_file(const char* path, int size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0);
	for (int i = 0; i < size; i++)
		CHECK(write(fd, "z", 1) == 1);
	CHECK(close(fd) == 0);
}

static void check_tree(void)
{
	struct stat info, other;
	CHECK(mkdir("tree", 0755) == 0 && mkdir("tree/inner", 0755) == 0 && mkdir("tree/empty", 0755) == 0);
	CHECK(mkdir("tree", 0755) == -1 && errno == EEXIST);
	make_file("tree/one", 1);
	make_file("tree/inner/hundred", 100);
	CHECK(symlink("inner/hundred", "tree/link") == 0);
	CHECK(link("tree/one", "tree/same") == 0);
	CHECK(rename("tree/one", "tree/inner/renamed") == 0);
	CHECK(stat("tree/link", &info) == 0 && info.st_size == 100 && S_ISREG(info.st_mode));
	CHECK(lstat("tree/link", &info) == 0 && S_ISLNK(info.st_mode));
	CHECK(stat("tree/same", &info) == 0 && stat("tree/inner/renamed", &other) == 0 && info.st_ino == other.st_ino);
	CHECK(info.st_nlink == 2);
	CHECK(chmod("tree/same", 0600) == 0 && stat("tree/same", &info) == 0 && (info.st_mode & 0777) == 0600);
	CHECK(access("tree/same", R_OK | W_OK) == 0 && access("tree/none", F_OK) == -1 && errno == ENOENT);
	CHECK(open("tree/same/below", O_RDONLY) == -1 && errno == ENOTDIR);
	CHECK(rmdir("tree") == -1 && errno == ENOTEMPTY);
	for (int i = 0; i < 100; i++) {
		char path[64];
		snprintf(path, sizeof(path), "tree/empty/file-with-a-long-name-%02d", i);
		make_file(path, 0);
	}
	DIR* dir = opendir("tree/empty");
	CHECK(dir != NULL);
	for (int round = 0; round < 2; round++) {
		int count = 0;
		while (readdir(dir) != NULL)
			count++;
		CHECK(count == 102 || count == 100);
		rewinddir(dir);
	}
	CHECK(closedir(dir) == 0);
	for (int i = 0; i < 100; i++) {
		char path[64];
		snprintf(path, sizeof(path), "tree/empty/file-with-a-long-name-%02d", i);
		CHECK(unlink(path) == 0);
	}
	char here[1024], below[1024];
	CHECK(getcwd(here, sizeof(here)) != NULL && chdir("tree/inner") == 0 && getcwd(below, sizeof(below)) != NULL);
	CHECK(strncmp(here, below, strlen(here)) == 0 && strcmp(below + strlen(here), "/tree/inner") == 0);
	CHECK(chdir("../..") == 0);

	walk("tree", 0);
	CHECK(total == 6);
	CHECK(unlink("tree/same") == 0 && unlink("tree/link") == 0 && unlink("tree/inner/renamed") == 0);
	CHECK(unlink("tree/inner/hundred") == 0 && rmdir("tree/inner") == 0 && rmdir("tree/empty") == 0 && rmdir("tree") == 0);
}

int main(int argc, char** argv)
{
	if (argc > 1 && strcmp(argv[1], "--check") != 0) {
		walk(argv[1], 0);
		printf("%d entries\n", total);
		return 0;
	}
	enter_scratch_dir(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv, "walk");
	check_tree();
	leave_scratch_dir();
	printf("ok\n");
	return 0;
}
