/*
 * lazy - the libraries of the DNS, of U-labels and of JSON, loaded when they are first called.
 *
 * Half of what a probe of one address costs is the dynamic linker's work for libraries that it never calls:
 * libunbound brings libevent, nettle, hogweed and GMP along, libidn2 libunistring.  The functions here stand in
 * for theirs, so that the program is not linked with them, and look the real ones up at the first call.  Each
 * has the type that the library's header gives it, or it would not compile; the names of the files are those of
 * the libraries that it was built against, which the Makefile finds; here stand Debian 12's.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#include <event2/event.h>
#include <idn2.h>
#include <jansson.h>
#include <ldns/ldns.h>
#include <unbound-event.h>
#include <unbound.h>

#include "log.h"
#include "tool.h"

#ifndef SONAME_unbound
#define SONAME_unbound "libunbound.so.8"
#define SONAME_ldns "libldns.so.3"
#define SONAME_idn2 "libidn2.so.0"
#define SONAME_jansson "libjansson.so.4"
#endif

struct lazy {
	const char *file;
	void *handle;
};

static struct lazy unbound = { SONAME_unbound, NULL };
static struct lazy ldns = { SONAME_ldns, NULL };
static struct lazy idn2 = { SONAME_idn2, NULL };
static struct lazy jansson = { SONAME_jansson, NULL };

/* Without them nothing can go on: as if the dynamic linker had not found them at the start. */
static uintptr_t
find(struct lazy *lib, const char *name)
{
	void *p = NULL;

	if (lib->handle == NULL)
		lib->handle = dlopen(lib->file, RTLD_NOW);
	if (lib->handle == NULL || (p = dlsym(lib->handle, name)) == NULL) {
		talk(NULL, "%s", dlerror());
		exit(TOOL_CANNOT);
	}
	return (uintptr_t)p;
}

#define LAZY(lib, ret, name, params, args) \
	ret name params \
	{ \
		static __typeof__(name) *real; \
\
		if (real == NULL) \
			real = (__typeof__(name) *)find(&(lib), #name); \
		return real args; \
	}

#define LAZY_VOID(lib, name, params, args) \
	void name params \
	{ \
		static __typeof__(name) *real; \
\
		if (real == NULL) \
			real = (__typeof__(name) *)find(&(lib), #name); \
		real args; \
	}

LAZY(unbound, int, ub_cancel, (struct ub_ctx *c, int id), (c, id))
LAZY(unbound, int, ub_ctx_add_ta_file, (struct ub_ctx *c, const char *file), (c, file))
LAZY(unbound, struct ub_ctx *, ub_ctx_create_event, (struct event_base *b), (b))
LAZY(unbound, int, ub_ctx_debugout, (struct ub_ctx *c, void *out), (c, out))
LAZY_VOID(unbound, ub_ctx_delete, (struct ub_ctx *c), (c))
LAZY(unbound, int, ub_ctx_resolvconf, (struct ub_ctx *c, const char *file), (c, file))
LAZY(unbound, int, ub_ctx_set_fwd, (struct ub_ctx *c, const char *addr), (c, addr))
LAZY(unbound, int, ub_ctx_set_option, (struct ub_ctx *c, const char *opt, const char *val), (c, opt, val))
LAZY(unbound, int, ub_ctx_zone_remove, (struct ub_ctx *c, const char *zone), (c, zone))
LAZY(unbound, int, ub_resolve_event, (struct ub_ctx *c, const char *name, int type, int class, void *arg,
    ub_event_callback_type fn, int *id), (c, name, type, class, arg, fn, id))
LAZY(unbound, const char *, ub_strerror, (int err), (err))

LAZY(ldns, ldns_rr_list *, ldns_pkt_answer, (const ldns_pkt *p), (p))
LAZY_VOID(ldns, ldns_pkt_free, (ldns_pkt *p), (p))
LAZY(ldns, ldns_pkt_rcode, ldns_pkt_get_rcode, (const ldns_pkt *p), (p))
LAZY(ldns, ldns_rr_list *, ldns_pkt_rr_list_by_type, (const ldns_pkt *p, ldns_rr_type t, ldns_pkt_section s),
    (p, t, s))
LAZY(ldns, uint16_t, ldns_rdf2native_int16, (const ldns_rdf *d), (d))
LAZY(ldns, uint32_t, ldns_rdf2native_int32, (const ldns_rdf *d), (d))
LAZY(ldns, char *, ldns_rdf2str, (const ldns_rdf *d), (d))
LAZY(ldns, uint8_t *, ldns_rdf_data, (const ldns_rdf *d), (d))
LAZY(ldns, size_t, ldns_rdf_size, (const ldns_rdf *d), (d))
LAZY(ldns, int, ldns_rr_compare, (const ldns_rr *a, const ldns_rr *b), (a, b))
LAZY(ldns, bool, ldns_rr_compare_ds, (const ldns_rr *a, const ldns_rr *b), (a, b))
LAZY_VOID(ldns, ldns_rr_free, (ldns_rr *r), (r))
LAZY(ldns, ldns_rr_type, ldns_rr_get_type, (const ldns_rr *r), (r))
LAZY_VOID(ldns, ldns_rr_list_deep_free, (ldns_rr_list *l), (l))
LAZY(ldns, ldns_rr *, ldns_rr_list_rr, (const ldns_rr_list *l, size_t n), (l, n))
LAZY(ldns, size_t, ldns_rr_list_rr_count, (const ldns_rr_list *l), (l))
LAZY(ldns, ldns_status, ldns_rr_new_frm_fp_l, (ldns_rr **r, FILE *fp, uint32_t *ttl, ldns_rdf **origin,
    ldns_rdf **prev, int *line), (r, fp, ttl, origin, prev, line))
LAZY(ldns, ldns_rdf *, ldns_rr_owner, (const ldns_rr *r), (r))
LAZY(ldns, size_t, ldns_rr_rd_count, (const ldns_rr *r), (r))
LAZY(ldns, ldns_rdf *, ldns_rr_rdf, (const ldns_rr *r, size_t n), (r, n))
LAZY(ldns, ldns_rdf *, ldns_rr_rrsig_expiration, (const ldns_rr *r), (r))
LAZY(ldns, ldns_rdf *, ldns_rr_rrsig_inception, (const ldns_rr *r), (r))
LAZY(ldns, uint32_t, ldns_rr_ttl, (const ldns_rr *r), (r))
LAZY(ldns, ldns_status, ldns_wire2pkt, (ldns_pkt **p, const uint8_t *data, size_t n), (p, data, n))

LAZY_VOID(idn2, idn2_free, (void *p), (p))
LAZY(idn2, const char *, idn2_strerror, (int rc), (rc))
LAZY(idn2, int, idn2_to_ascii_8z, (const char *in, char **out, int flags), (in, out, flags))

LAZY(jansson, json_t *, json_array, (void), ())
LAZY(jansson, int, json_array_append_new, (json_t *a, json_t *v), (a, v))
LAZY_VOID(jansson, json_delete, (json_t *v), (v))
LAZY(jansson, char *, json_dumps, (const json_t *v, size_t flags), (v, flags))
LAZY(jansson, json_t *, json_false, (void), ())
LAZY(jansson, json_t *, json_integer, (json_int_t n), (n))
LAZY(jansson, json_t *, json_null, (void), ())
LAZY(jansson, json_t *, json_object, (void), ())
LAZY(jansson, json_t *, json_object_get, (const json_t *o, const char *key), (o, key))
LAZY(jansson, int, json_object_set_new, (json_t *o, const char *key, json_t *v), (o, key, v))
LAZY(jansson, json_t *, json_string, (const char *text), (text))
LAZY(jansson, json_t *, json_stringn, (const char *text, size_t n), (text, n))
LAZY(jansson, json_t *, json_true, (void), ())
