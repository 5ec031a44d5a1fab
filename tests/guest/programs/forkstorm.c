/* fork while other threads are in every kind of system call: the child, which has the forking thread only, can do all of that itself.
 * Argument: the number of children. */
#include "check.h"
#include <OS.h>
#include <dirent.h>
#include <fcntl.h>
#include <image.h>
#include <private/syscalls.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FOLDER "/boot/system/bin"

static volatile int32 stop;
static int folder;
static int null_file;

static void do_sems(void)
{
	sem_id sem = create_sem(1, "storm");
	int32 count;
	CHECK(sem >= 0 && acquire_sem(sem) == B_OK && release_sem(sem) == B_OK);
	CHECK(get_sem_count(sem, &count) == B_OK && count == 1 && delete_sem(sem) == B_OK);
}

static void do_ports(void)
{
	int32 code;
	char buffer[8];
	port_id port = create_port(2, "storm");
	CHECK(port >= 0 && write_port(port, 7, "storm", 5) == B_OK && port_count(port) == 1);
	CHECK(read_port(port, &code, buffer, sizeof(buffer)) == 5 && code == 7 && delete_port(port) == B_OK);
}

static void do_areas(void)
{
	void* address;
	area_info info;
	area_id area = create_area("storm", &address, B_ANY_ADDRESS, B_PAGE_SIZE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
	CHECK(area >= 0);
	*(char*)address = 1;
	CHECK(area_for(address) == area && get_area_info(area, &info) == B_OK && delete_area(area) == B_OK);
}

static status_t short_thread(void* data)
{
	return *(int32*)data;
}

static void do_threads(void)
{
	int32 value = 5;
	status_t status;
	thread_id thread = spawn_thread(short_thread, "storm", B_NORMAL_PRIORITY, &value);
	CHECK(thread >= 0 && rename_thread(thread, "storm 2") == B_OK && resume_thread(thread) == B_OK);
	status_t error;
	while ((error = wait_for_thread(thread, &status)) == B_INTERRUPTED)
		;
	CHECK(error == B_OK && status == 5);
}

static void do_files(void)
{
	char buffer[16];
	struct stat stat_now;
	int fds[2];
	int fd = open(FOLDER "/hello", O_RDONLY);
	CHECK(fd >= 0 && read(fd, buffer, 4) == 4 && memcmp(buffer, "\177ELF", 4) == 0 && fstat(fd, &stat_now) == 0);
	CHECK(close(fd) == 0 && access(FOLDER "/none", 0) != 0);
	CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1 && read(fds[0], buffer, 1) == 1);
	CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

/* One open folder and one open file, which all threads and children share. */
static void do_shared_files(void)
{
	char entries[1024];
	CHECK(_kern_rewind_dir(folder) == B_OK);
	CHECK(_kern_read_dir(folder, (struct dirent*)entries, sizeof(entries), 100) >= 0);
	CHECK(fcntl(null_file, F_SETFL, O_APPEND) == 0 && write(null_file, "x", 1) == 1);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void do_signals(void)
{
	sigset_t pending;
	CHECK(kill(getpid(), SIGUSR1) == 0 && pthread_kill(pthread_self(), SIGUSR2) == 0 && sigpending(&pending) == 0);
}

static void do_information(void)
{
	team_info team;
	thread_info thread;
	image_info image;
	int32 cookie = 0;
	CHECK(get_team_info(B_CURRENT_TEAM, &team) == B_OK && get_thread_info(find_thread(NULL), &thread) == B_OK);
	CHECK(get_next_image_info(B_CURRENT_TEAM, &cookie, &image) == B_OK);
	snooze(20);
}

static pthread_mutex_t own_mutex = PTHREAD_MUTEX_INITIALIZER;

static void do_mutexes(void)
{
	struct timespec until = {0, 0};
	pthread_cond_t cond;
	CHECK(pthread_cond_init(&cond, NULL) == 0 && pthread_mutex_lock(&own_mutex) == 0);
	/* A signal may wake it. */
	while (pthread_cond_timedwait(&cond, &own_mutex, &until) == 0)
		;
	CHECK(pthread_mutex_unlock(&own_mutex) == 0 && pthread_cond_destroy(&cond) == 0);
}

/* New code each time: whoever translates has something to do. */
static void do_code(void)
{
	static int32 number;
	int32 value = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
	unsigned char* code = mmap(NULL, B_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(code != MAP_FAILED);
	/* mov $value, %eax; ret */
	code[0] = 0xb8;
	memcpy(code + 1, &value, 4);
	code[5] = 0xc3;
	CHECK(((int32 (*)(void))(void*)code)() == value && munmap(code, B_PAGE_SIZE) == 0);
}

static void (*const work[])(void) = {
	do_sems,
	do_ports,
	do_areas,
	do_threads,
	do_files,
	do_shared_files,
	do_signals,
	do_information,
	do_mutexes,
	do_code,
};
static const char* const names[] = {"semaphores", "ports", "areas", "threads", "files", "shared files", "signals",
	"information", "mutexes", "code"};
#define KINDS (sizeof(work) / sizeof(work[0]))
#define IN_CHILD 1000

static void* storm(void* kind)
{
	while (!stop)
		work[(size_t)kind]();
	return NULL;
}

static void check_children(int count)
{
	volatile size_t* done = mmap(NULL, B_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(done != MAP_FAILED);
	pthread_t threads[KINDS];
	for (size_t i = 0; i < KINDS; i++)
		CHECK(pthread_create(&threads[i], NULL, storm, (void*)i) == 0);
	for (int i = 0; i < count; i++) {
		*done = 0;
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			/* What another thread of the parent held stays locked. */
			CHECK(pthread_mutex_init(&own_mutex, NULL) == 0);
			/* At once, while what the system starts with a team is starting. */
			*done = IN_CHILD;
			pid_t grandchild = fork();
			CHECK(grandchild >= 0);
			if (grandchild == 0) {
				do_threads();
				do_code();
				_exit(0);
			}
			int end;
			CHECK(waitpid(grandchild, &end, 0) == grandchild && end == 0);
			*done = 0;
			/* Another order each time: what is free is not always the same. */
			for (; *done < KINDS; (*done)++)
				work[(*done + i) % KINDS]();
			_exit(0);
		}
		int status = -1;
		pid_t ended = 0;
		/* A minute: that long nothing takes that does not hang. */
		for (int waited = 0; ended == 0 && waited < 60000; waited++) {
			ended = waitpid(child, &status, WNOHANG);
			if (ended == 0)
				snooze(1000);
		}
		if (ended == 0) {
			const char* where = *done == IN_CHILD ? "with a child" : "at its end";
			dprintf(2, "child %d hangs: %s\n", i, *done < KINDS ? names[(*done + i) % KINDS] : where);
			kill(child, SIGKILL);
			_exit(1);
		}
		CHECK(ended == child && status == 0);
	}
	stop = 1;
	for (size_t i = 0; i < KINDS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(munmap((void*)done, B_PAGE_SIZE) == 0);
}

#define MUCH (1 << 20)

static void* write_much(void* fd)
{
	static char block[4096];
	for (int written = 0; written < MUCH; written += sizeof(block))
		CHECK(write(*(int*)fd, block, sizeof(block)) == sizeof(block));
	CHECK(close(*(int*)fd) == 0);
	return NULL;
}

/* What a child closes is closed, also where another thread of the parent was writing to it at the fork. */
static void check_closing(void)
{
	int data[2], count[2], read_bytes = 0, got;
	static char block[4096];
	pthread_t writer;
	CHECK(pipe(data) == 0 && pipe(count) == 0);
	CHECK(pthread_create(&writer, NULL, write_much, &data[1]) == 0);
	/* Until it waits: the pipe is full. */
	CHECK(read(data[0], block, 1) == 1);
	snooze(20000);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(close(data[1]) == 0 && close(count[0]) == 0);
		while ((got = read(data[0], block, sizeof(block))) > 0)
			read_bytes += got;
		CHECK(got == 0 && write(count[1], &read_bytes, sizeof(read_bytes)) == sizeof(read_bytes));
		_exit(0);
	}
	CHECK(close(data[0]) == 0 && close(count[1]) == 0);
	CHECK(read(count[0], &read_bytes, sizeof(read_bytes)) == sizeof(read_bytes) && read_bytes == MUCH - 1);
	int status;
	CHECK(pthread_join(writer, NULL) == 0 && waitpid(child, &status, 0) == child && status == 0);
	CHECK(close(count[0]) == 0);
}

int main(int argc, char** argv)
{
	check_closing();
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && signal(SIGUSR2, on_signal) != SIG_ERR);
	folder = _kern_open_dir(-1, FOLDER);
	null_file = open("/dev/null", O_WRONLY);
	CHECK(folder >= 0 && null_file >= 0);
	check_children(argc > 1 ? atoi(argv[1]) : 20);
	printf("forkstorm: children of a busy team\nok\n");
	return 0;
}
