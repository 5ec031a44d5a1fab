/* Two threads and two ports: a ball goes back and forth; then several writers to one port, closing, timeouts. */
#include "check.h"
#include <OS.h>

#define ROUNDS 1000
#define CODE_BALL 1000
#define CODE_STOP 1001

struct table {
	port_id ping, pong;
};

static status_t player(void* _table)
{
	struct table* table = _table;
	int32 code, hits = 0;
	for (;;) {
		char text[64];
		ssize_t size = read_port(table->ping, &code, text, sizeof(text));
		CHECK(size >= 0);
		if (code == CODE_STOP)
			return hits;
		CHECK(code == CODE_BALL && size == (ssize_t)strlen(text) + 1);
		hits++;
		CHECK(write_port(table->pong, hits, text, size) == B_OK);
	}
}

static void play(void)
{
	struct table table = {create_port(1, "ping"), create_port(5, "pong")};
	CHECK(table.ping > 0 && table.pong > 0 && find_port("pong") == table.pong);
	thread_id thread = spawn_thread(player, "player", B_NORMAL_PRIORITY, &table);
	CHECK(thread > 0 && resume_thread(thread) == B_OK);
	for (int i = 1; i <= ROUNDS; i++) {
		char sent[64], back[64];
		int32 code;
		snprintf(sent, sizeof(sent), "ball %d", i);
		CHECK(write_port(table.ping, CODE_BALL, sent, strlen(sent) + 1) == B_OK);
		CHECK(read_port(table.pong, &code, back, sizeof(back)) == (ssize_t)strlen(sent) + 1);
		CHECK(code == i && strcmp(sent, back) == 0);
	}
	CHECK(write_port(table.ping, CODE_STOP, NULL, 0) == B_OK);
	status_t hits;
	CHECK(wait_for_thread(thread, &hits) == B_OK && hits == ROUNDS);
	printf("%d hits\n", (int)hits);
	CHECK(delete_port(table.ping) == B_OK && delete_port(table.pong) == B_OK && delete_port(table.ping) == B_BAD_PORT_ID);
}

static status_t write_numbers(void* _port)
{
	port_id port = *(port_id*)_port;
	for (int32 i = 1; i <= 200; i++) {
		if (write_port(port, i, &i, sizeof(i)) != B_OK)
			return B_ERROR;
	}
	return B_OK;
}

static void check_many_writers(void)
{
	port_id port = create_port(3, "numbers");
	thread_id writers[4];
	for (int i = 0; i < 4; i++) {
		writers[i] = spawn_thread(write_numbers, "writer", B_NORMAL_PRIORITY, &port);
		CHECK(resume_thread(writers[i]) == B_OK);
	}
	int64 sum = 0;
	for (int i = 0; i < 800; i++) {
		int32 code, number;
		CHECK(read_port(port, &code, &number, sizeof(number)) == sizeof(number) && code == number);
		sum += number;
	}
	CHECK(sum == 4 * 200 * 201 / 2);
	for (int i = 0; i < 4; i++) {
		status_t status;
		CHECK(wait_for_thread(writers[i], &status) == B_OK && status == B_OK);
	}
	port_info info;
	CHECK(get_port_info(port, &info) == B_OK && info.total_count == 800 && info.queue_count == 0 && info.capacity == 3);
	CHECK(delete_port(port) == B_OK);
}

static status_t read_until_deleted(void* _port)
{
	int32 code;
	return read_port(*(port_id*)_port, &code, NULL, 0);
}

static void check_edges(void)
{
	port_id port = create_port(2, "edges");
	int32 code;
	char text[8];
	CHECK(write_port(port, 1, "abcdefgh", 8) == B_OK && port_count(port) == 1 && port_buffer_size(port) == 8);
	CHECK(read_port(port, &code, text, 3) == 3 && memcmp(text, "abc", 3) == 0 && port_count(port) == 0);
	CHECK(read_port_etc(port, &code, text, 8, B_RELATIVE_TIMEOUT, 0) == B_WOULD_BLOCK);
	CHECK(read_port_etc(port, &code, text, 8, B_RELATIVE_TIMEOUT, 3000) == B_TIMED_OUT);
	CHECK(write_port(port, 2, NULL, 0) == B_OK && write_port(port, 3, NULL, 0) == B_OK);
	CHECK(write_port_etc(port, 4, NULL, 0, B_RELATIVE_TIMEOUT, 0) == B_WOULD_BLOCK);
	CHECK(close_port(port) == B_OK && write_port(port, 5, NULL, 0) == B_BAD_PORT_ID);
	CHECK(read_port(port, &code, NULL, 0) == 0 && code == 2 && read_port(port, &code, NULL, 0) == 0 && code == 3);
	CHECK(read_port(port, &code, NULL, 0) == B_BAD_PORT_ID && delete_port(port) == B_OK);

	port = create_port(1, "deleted");
	thread_id thread = spawn_thread(read_until_deleted, "reader", B_NORMAL_PRIORITY, &port);
	CHECK(resume_thread(thread) == B_OK && delete_port(port) == B_OK);
	status_t status;
	CHECK(wait_for_thread(thread, &status) == B_OK && status == B_BAD_PORT_ID);
	CHECK(create_port(0, "none") == B_BAD_VALUE && read_port(-1, &code, NULL, 0) == B_BAD_PORT_ID);
}

int main(void)
{
	play();
	check_many_writers();
	check_edges();
	printf("ok\n");
	return 0;
}
