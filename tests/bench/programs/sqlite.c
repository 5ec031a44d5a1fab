/* A database in memory: inserts, an index, joins, grouping, updates, deletions, a recursive query. */
#include "program.h"
#include <sqlite3.h>

/* SQLite is compiled without an operating system (SQLITE_OS_OTHER): a database in memory needs none but these few. */
static int no_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* outFlags)
{
	(void)vfs, (void)name, (void)flags, (void)outFlags;
	file->pMethods = NULL;
	return SQLITE_CANTOPEN;
}

static int no_delete(sqlite3_vfs* vfs, const char* name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_IOERR_DELETE;
}

static int no_access(sqlite3_vfs* vfs, const char* name, int flags, int* result)
{
	(void)vfs, (void)name, (void)flags;
	*result = 0;
	return SQLITE_OK;
}

static int same_path(sqlite3_vfs* vfs, const char* name, int size, char* out)
{
	(void)vfs;
	strlcpy(out, name, size);
	return SQLITE_OK;
}

static int fixed_randomness(sqlite3_vfs* vfs, int size, char* out)
{
	(void)vfs;
	memset(out, 0x5a, size);
	return size;
}

static int no_sleep(sqlite3_vfs* vfs, int microseconds)
{
	(void)vfs;
	return microseconds;
}

static int fixed_time(sqlite3_vfs* vfs, double* julianDay)
{
	(void)vfs;
	*julianDay = 2460000.5;
	return SQLITE_OK;
}

int sqlite3_os_init(void)
{
	static sqlite3_vfs vfs = {.iVersion = 1, .szOsFile = sizeof(sqlite3_file), .mxPathname = 256, .zName = "none", .xOpen = no_file,
		.xDelete = no_delete, .xAccess = no_access, .xFullPathname = same_path, .xRandomness = fixed_randomness, .xSleep = no_sleep,
		.xCurrentTime = fixed_time};
	return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void)
{
	return SQLITE_OK;
}

static uint32_t sum = 0x811c9dc5;

static void check(sqlite3* database, int status)
{
	if (status != SQLITE_OK && status != SQLITE_DONE && status != SQLITE_ROW) {
		fprintf(stderr, "sqlite: %s\n", database != NULL ? sqlite3_errmsg(database) : "cannot start");
		exit(1);
	}
}

static int add_row(void* unused, int count, char** values, char** names)
{
	(void)unused, (void)names;
	for (int n = 0; n < count; n++) {
		if (values[n] != NULL)
			sum = checksum(sum, values[n], strlen(values[n]));
	}
	return 0;
}

static void run(sqlite3* database, const char* text)
{
	check(database, sqlite3_exec(database, text, add_row, NULL, NULL));
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 12);
	for (unsigned round = 0; round < scale; round++) {
		sqlite3* database = NULL;
		check(database, sqlite3_open(":memory:", &database));
		run(database, "create table poem(id integer primary key, author integer, title text, length real);"
			"create table author(id integer primary key, name text unique); begin;");
		sqlite3_stmt* insert = NULL;
		check(database, sqlite3_prepare_v2(database, "insert into poem values(?, ?, ?, ?)", -1, &insert, NULL));
		uint32_t random = 99 + round;
		for (int n = 0; n < 20000; n++) {
			char title[32];
			int size = snprintf(title, sizeof(title), "%x on %x", (unsigned)next_random(&random), n % 97);
			sqlite3_bind_int(insert, 1, n);
			sqlite3_bind_int(insert, 2, next_random(&random) % 200);
			sqlite3_bind_text(insert, 3, title, size, SQLITE_TRANSIENT);
			sqlite3_bind_double(insert, 4, (next_random(&random) % 10000) / 7.0);
			check(database, sqlite3_step(insert));
			check(database, sqlite3_reset(insert));
		}
		check(database, sqlite3_finalize(insert));
		run(database, "with recursive n(i) as (select 0 union all select i + 1 from n where i < 199)"
			" insert into author select i, 'poet ' || (i * 7919 % 1009) from n; commit;");
		run(database, "create index by_author on poem(author, length);");
		run(database, "select name, count(*), sum(length), max(title) from poem join author on author.id = poem.author"
			" group by author order by 3 desc limit 20;");
		run(database, "select title from poem where title like '%3f%' and length between 100 and 900 order by title;");
		run(database, "update poem set length = length * 1.5 where author % 3 = 0; delete from poem where id % 5 = 1;");
		run(database, "select count(*), avg(length), min(title), total(length) from poem where author in"
			" (select id from author where name like '%1%');");
		run(database, "with recursive c(x) as (values(1) union all select x + 1 from c where x < 30000)"
			" select sum(x * x % 7), count(distinct x % 101) from c;");
		check(database, sqlite3_close(database));
	}
	printf("sqlite %08x\n", sum);
	return 0;
}
