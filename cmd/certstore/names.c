#include "certstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "name.h"
#include "text.h"

static int
covers_host(const X509 *cert, const char *name, unsigned flags)
{
	struct cert_names names;
	char *cn = NULL;
	size_t i;
	int yes = 0;

	cert_dns_names(cert, &names);
	if (flags & COVERS_CN) {
		cn = cert_cn(cert);
		cert_names_or_cn(&names, cn);
	}
	for (i = 0; i < names.n && !yes; i++)
		yes = name_matches(name, names.v[i]) || text_case_eq(name, names.v[i]);
	cert_names_clear(&names);
	free(cn);
	return yes;
}

static int
covers_address(const X509 *cert, const char *address)
{
	struct cert_names names;
	size_t i;
	int yes = 0;

	cert_ip_names(cert, &names);
	for (i = 0; i < names.n && !yes; i++)
		yes = strcmp(address, names.v[i]) == 0;
	cert_names_clear(&names);
	return yes;
}

int
names_stored(const struct settings *s, struct identity_names *names, struct fail *f)
{
	char *certs = file_join(s->dir, "certs");
	int there = access(certs, F_OK) == 0 || errno != ENOENT;

	*names = (struct identity_names){ .v = NULL, .n = 0 };
	if (!there)
		fail(f, FAIL_INPUT, "%.300s: there is no such folder; nothing was stored under %.300s yet",
		    certs, s->dir);
	free(certs);
	return there ? identity_list(s->dir, names, f) : -1;
}

char *
names_host_of(const char *identity)
{
	char *host;

	if (strncmp(identity, "_wildcard.", 10) == 0)
		host = xasprintf("*.%s", identity + 10);
	else
		host = xstrdup(identity);
	if (text_is_address(host) || name_is_fqdn(host, NAME_WILDCARD))
		return host;
	free(host);
	return NULL;
}

int
covers(const X509 *cert, const char *name, unsigned flags)
{
	return text_is_address(name) ? covers_address(cert, name) : covers_host(cert, name, flags);
}
