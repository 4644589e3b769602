/*
 * mkspool - writes a spool file as mtatls-spool(5) describes it, sharing no code with the toolkit.
 *
 *	[ARRIVED=SECONDS] mkspool FILE ID FROM RCPT[,OPTION]... < message
 *
 * FROM and RCPT are written as they are: they stand in <> and in the table grammar's encoding.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t
crc_add(uint32_t crc, const char *p, size_t n)
{
	int bit;

	crc = ~crc;
	while (n-- > 0) {
		crc ^= (unsigned char)*p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static char *
read_stdin(size_t *len)
{
	size_t size = 64 * 1024 * 1024;
	char *p = malloc(size);

	if (p == NULL)
		exit(2);
	*len = fread(p, 1, size, stdin);
	return p;
}

int
main(int argc, char **argv)
{
	static char envelope[1024 * 1024];
	const char *arrived = getenv("ARRIVED");
	char head[71], *message;
	uint32_t check;
	size_t n = 0, len;
	FILE *out;
	int i;

	if (argc < 5 || strlen(argv[2]) != 14 || (out = fopen(argv[1], "wx")) == NULL) {
		fprintf(stderr, "usage: mkspool FILE ID FROM RCPT... < message\n");
		return 2;
	}
	message = read_stdin(&len);
	n += snprintf(envelope, sizeof envelope, "\narrived %s\nlistener in\nclient 192.0.2.1\n"
	    "helo client.example\nprotocol ESMTPS\ntls TLSv1.3 TLS_AES_256_GCM_SHA384\nfrom %s\n",
	    arrived != NULL ? arrived : "1795305600", argv[3]);
	for (i = 4; i < argc && n < sizeof envelope; i++) {
		for (char *p = argv[i]; (p = strchr(p, ',')) != NULL;)
			*p = ' ';
		n += snprintf(envelope + n, sizeof envelope - n, "rcpt %s\n", argv[i]);
	}
	if (n + 2 >= sizeof envelope)
		return 2;
	envelope[n++] = '\n';
	snprintf(head, sizeof head, "mtatls-spool 1 %s %08zu %012zu %08x ", argv[2], 69 + n, len,
	    (unsigned)crc_add(0, message, len));
	check = crc_add(crc_add(0, envelope, n), head, 61);
	fprintf(out, "%s%08x", head, (unsigned)check);
	fwrite(envelope, 1, n, out);
	fwrite(message, 1, len, out);
	free(message);
	return fclose(out) == EOF ? 2 : 0;
}
