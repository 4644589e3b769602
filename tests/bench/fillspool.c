/*
 * fillspool - fills a spool with messages that wait, as mtatls-spool(5) describes them.
 *
 *	fillspool [-o] [-d DOMAINS] [-u UID] SPOOL N	the spool exists and no relay works on it
 *
 * Each has one recipient; one in five is for big.bench.test (-o: each is), the others for so many domains (10000)
 * in turn.  All are due.  Nothing is synced.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "spool.h"

static const char message[] = "Subject: x\r\n\r\nA message that waits.\r\n";
static struct spool_ids ids;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void
write_message(int queue, const char *domain, uid_t uid)
{
	struct spool_name name = { .due = time(NULL) };
	struct spool_envelope e = { .nrcpts = 0 };
	char address[100], file[SPOOL_NAME_SIZE], envelope[1024], head[80];
	size_t n = sizeof message - 1, len;
	int fd;

	spool_id_next(&ids, now_us(), name.id);
	len = snprintf(envelope, sizeof envelope, "\narrived %lld\nlistener in\nclient 192.0.2.1\nhelo c.test\n"
	    "protocol ESMTP\nfrom <from@bench.test>\nrcpt <user@%s>\n\n", (long long)(spool_id_time_us(name.id) / 1000000),
	    domain);
	snprintf(head, sizeof head, "mtatls-spool 1 %s %08zu %012zu %08lx ", name.id, 69 + len, n,
	    crc32(0, (const Bytef *)message, n));
	snprintf(head + 61, sizeof head - 61, "%08lx", crc32(crc32(0, (const Bytef *)envelope, len),
	    (const Bytef *)head, 61));
	snprintf(address, sizeof address, "user@%s", domain);
	spool_envelope_add_rcpt(&e, address);
	spool_name_domains(&name, &e);
	spool_name_format(file, &name);
	spool_envelope_clear(&e);
	if ((fd = openat(queue, file, O_WRONLY | O_CREAT | O_EXCL, 0660)) == -1)
		die(file);
	if (dprintf(fd, "%s%s%s", head, envelope, message) != (int)(69 + len + n) ||
	    (uid != (uid_t)-1 && fchown(fd, uid, -1) == -1))
		die(file);
	close(fd);
}

int
main(int argc, char **argv)
{
	unsigned long domains = 10000, i, n;
	char dir[1000], domain[64];
	uid_t uid = -1;
	int c, queue, one = 0;

	while ((c = getopt(argc, argv, "d:ou:")) != -1)
		if (c == 'd')
			domains = strtoul(optarg, NULL, 10);
		else if (c == 'o')
			one = 1;
		else if (c == 'u')
			uid = strtoul(optarg, NULL, 10);
		else
			return 2;
	if (argc - optind != 2 || domains == 0) {
		fprintf(stderr, "usage: fillspool [-o] [-d domains] [-u uid] SPOOL N\n");
		return 2;
	}
	n = strtoul(argv[optind + 1], NULL, 10);
	snprintf(dir, sizeof dir, "%s/queue", argv[optind]);
	if ((queue = open(dir, O_RDONLY | O_DIRECTORY)) == -1)
		die(dir);
	spool_ids_init(&ids, 61);
	for (i = 0; i < n; i++) {
		if (one || i % 5 == 0)
			snprintf(domain, sizeof domain, "big.bench.test");
		else
			snprintf(domain, sizeof domain, "d%lu.bench.test", i % domains);
		write_message(queue, domain, uid);
	}
	return 0;
}
