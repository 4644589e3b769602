#include "identity.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <openssl/evp.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "alloc.h"
#include "cert.h"
#include "file.h"
#include "issue.h"
#include "key.h"
#include "pem.h"
#include "unit.h"
#include "version.h"

static char *dir;

static void
make(struct identity *id, const char *name)
{
	struct issue is;

	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	*id = (struct identity)IDENTITY_INIT;
	id->name = xstrdup(name);
	id->key = key_generate("ed25519", NULL);
	id->cert = issue_self_signed(&is, id->key, 1700000000, NULL);
	issue_clear(&is);
}

static int
exists(const char *sub)
{
	char *path = file_join(dir, sub);
	struct stat st;
	int yes = lstat(path, &st) == 0;

	free(path);
	return yes;
}

static int
mode_of(const char *sub)
{
	char *path = file_join(dir, sub);
	struct stat st;
	int mode = stat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;

	free(path);
	return mode;
}

static void
test_round_trip(void)
{
	struct identity id, got;
	struct fail f = FAIL_INIT;

	make(&id, "a");
	id.chain = sk_X509_new_null();
	sk_X509_push(id.chain, X509_dup(id.cert));
	unit_int(identity_store(dir, &id, 0, &f), 0, "stored");
	unit_int(mode_of("certs/a/key.pem"), 0600, "key 0600");
	unit_int(mode_of("certs/a/cert.pem"), 0644, "certificate 0644");
	unit_int(mode_of("certs/a/chain.pem"), 0644, "chain 0644");
	unit_int(mode_of("certs/a"), 0755, "folder 0755");
	unit_int(identity_load(dir, "a", IDENTITY_NEED_KEY, &got, &f), 0, "loaded");
	unit_ok(X509_cmp(got.cert, id.cert) == 0 && key_same(got.key, id.key), "the same");
	unit_int(sk_X509_num(got.chain), 1, "with its chain");
	unit_str(got.name, "a", "and its name");
	identity_clear(&got);
	unit_int(identity_load(dir, "a", 0, &got, &f), 0, "loaded without the key");
	unit_ok(got.key == NULL && got.cert != NULL, "which is not read");
	identity_clear(&got);
	identity_clear(&id);
}

static void
test_replace(void)
{
	struct identity one, two, three, got;
	struct fail f = FAIL_INIT;

	make(&one, "b");
	make(&two, "b");
	make(&three, "b");
	unit_int(identity_store(dir, &one, 0, NULL), 0, "the first");
	unit_int(identity_store(dir, &two, 0, &f), -1, "another is refused");
	unit_int(f.kind, FAIL_POLICY, "by a rule");
	unit_ok(!exists("certs/.versions/b/2"), "and not written");
	unit_int(identity_store(dir, &two, IDENTITY_REPLACE, NULL), 0, "replaced");
	unit_ok(exists("certs/.versions/b/1"), "the previous one is kept");
	unit_int(identity_store(dir, &three, IDENTITY_REPLACE, NULL), 0, "replaced again");
	unit_ok(!exists("certs/.versions/b/1"), "the one before is gone");
	unit_ok(exists("certs/.versions/b/2"), "the previous one is kept");
	unit_int(identity_load(dir, "b", IDENTITY_NEED_KEY, &got, NULL), 0, "loaded");
	unit_ok(X509_cmp(got.cert, three.cert) == 0, "it is the last");
	identity_clear(&one);
	identity_clear(&two);
	identity_clear(&three);
	identity_clear(&got);
}

static void
put(const char *sub, const char *text)
{
	char *path = file_join(dir, sub);

	unlink(path);
	file_write(path, 0644, FILE_REPLACE, text, strlen(text), NULL);
	free(path);
}

/* A failure's text is before, the store's folder, after. */
static void
check_load(const char *name, const char *before, const char *after)
{
	char *want = xasprintf("%s%s%s", before, *after != '\0' ? dir : "", after);
	struct fail f = FAIL_INIT;
	struct identity got;

	unit_int(identity_load(dir, name, IDENTITY_NEED_KEY, &got, &f), -1, "\"%s\" is not loaded", name);
	unit_str(f.text, want, "and says why");
	unit_ok(got.name == NULL && got.cert == NULL && got.key == NULL, "and is empty");
	free(want);
}

static void
test_damaged(void)
{
	struct identity id;
	struct buf other = BUF_INIT;
	EVP_PKEY *key = key_generate("ed25519", NULL);

	make(&id, "c");
	identity_store(dir, &id, 0, NULL);
	key_to_pem(key, &other, NULL);
	put("certs/c/key.pem", other.p);
	check_load("c", "", "/certs/.versions/c/1/key.pem: not the key of cert.pem beside it");
	put("certs/c/key.pem", "nothing\n");
	check_load("c", "", "/certs/.versions/c/1/key.pem: neither PEM nor DER: expected a -----BEGIN line");
	put("certs/c/cert.pem", "-----BEGIN CERTIFICATE-----\n");
	check_load("c", "", "/certs/.versions/c/1/cert.pem: line 1: no -----END CERTIFICATE----- before the "
	    "end");
	{
		char *path = xasprintf("%s/certs/c/cert.pem", dir);

		unlink(path);
		free(path);
	}
	check_load("c", "", "/certs/.versions/c/1/cert.pem: No such file or directory");
	check_load("none", "no identity \"none\" in ", "/certs");
	check_load("../etc", "\"../etc\" cannot be the name of an identity: it begins with - or .", "");
	buf_wipe(&other);
	EVP_PKEY_free(key);
	identity_clear(&id);
}

/* What a crash leaves: a folder with a higher number that no link shows. */
static void
test_leftover(void)
{
	struct identity id, got;
	char *path = xasprintf("%s/certs/.versions/d/2", dir), *link = xasprintf("%s/certs/.link-1-0", dir);

	make(&id, "d");
	identity_store(dir, &id, 0, NULL);
	file_mkdir(path, 0755, NULL);
	unit_int(symlink("nothing", link), 0, "and a link under way");
	unit_int(identity_load(dir, "d", IDENTITY_NEED_KEY, &got, NULL), 0, "loads beside a leftover");
	identity_clear(&got);
	unit_int(identity_store(dir, &id, IDENTITY_REPLACE, NULL), 0, "is replaced");
	unit_ok(!exists("certs/.versions/d/2"), "the leftover goes");
	unit_ok(!exists("certs/.link-1-0"), "and the link");
	unit_ok(exists("certs/.versions/d/1"), "the previous version stays");
	unit_ok(exists("certs/.versions/d/3"), "under a number not used before");
	identity_clear(&id);
	free(link);
	free(path);
}

/* Nothing may be left of a store that fails, whichever folder was there before. */
static void
test_undo(void)
{
	char *sub = file_join(dir, "new"), *store = dir;
	struct identity id;
	struct fail f = FAIL_INIT;

	make(&id, "e");
	file_mkdir(sub, 0755, NULL);
	dir = sub;
	put("certs", "a file in the place of the folder");
	unit_int(identity_store(sub, &id, 0, &f), -1, "a file in the way");
	unit_int(f.kind, FAIL_SYS, "is the system's refusal");
	unit_ok(exists("certs"), "and stays");
	unit_ok(!exists(".versions"), "with nothing beside it");
	dir = store;
	file_remove_tree(sub, NULL);
	unit_int(identity_store("/proc/self/mtatls", &id, 0, &f), -1, "where nothing can be made");
	unit_ok(access("/proc/self/mtatls", F_OK) == -1, "nothing is");
	free(sub);
	identity_clear(&id);
}

/* A request or a next key beside the certificate: what roll-back goes to stays. */
static void
test_amend(void)
{
	struct identity one, two, got;
	struct issue is;
	struct fail f = FAIL_INIT;

	make(&one, "f");
	make(&two, "f");
	identity_store(dir, &one, 0, NULL);
	identity_store(dir, &two, IDENTITY_REPLACE, NULL);
	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	two.request = issue_request(&is, two.key, NULL);
	two.next_key = key_generate("ec:p256", NULL);
	two.next_request = issue_request(&is, two.next_key, NULL);
	unit_int(identity_store(dir, &two, IDENTITY_AMEND, &f), 0, "amended");
	unit_int(mode_of("certs/f/next-key.pem"), 0600, "next key 0600");
	unit_int(mode_of("certs/f/request.pem"), 0644, "request 0644");
	unit_int(mode_of("certs/f/next-request.pem"), 0644, "next request 0644");
	unit_ok(exists("certs/.versions/f/1") && !exists("certs/.versions/f/2"), "the first is kept");
	unit_int(identity_load(dir, "f", IDENTITY_NEED_KEY, &got, NULL), 0, "loaded");
	unit_ok(got.request == NULL && got.next_key == NULL, "without what waits");
	identity_clear(&got);
	unit_int(identity_load(dir, "f", IDENTITY_NEED_KEY | IDENTITY_PENDING, &got, NULL), 0, "loaded");
	unit_ok(got.request != NULL && got.next_request != NULL && got.next_key != NULL &&
	    key_same(got.next_key, two.next_key), "with what waits");
	identity_clear(&got);
	unit_int(identity_rollback(dir, "f", NULL, &f), 0, "rolled back");
	identity_load(dir, "f", IDENTITY_NEED_KEY | IDENTITY_PENDING, &got, NULL);
	unit_ok(X509_cmp(got.cert, one.cert) == 0 && got.request == NULL, "to the first");
	identity_clear(&got);
	unit_int(identity_rollback(dir, "f", NULL, &f), 0, "rolled back once more");
	identity_load(dir, "f", IDENTITY_NEED_KEY | IDENTITY_PENDING, &got, NULL);
	unit_ok(X509_cmp(got.cert, two.cert) == 0 && got.next_key != NULL, "goes forward again");
	unit_int(mode_of("certs/f/next-key.pem"), 0600, "with the modes as they were");
	identity_clear(&got);
	issue_clear(&is);
	identity_clear(&one);
	identity_clear(&two);
}

static void
test_without_cert(void)
{
	struct identity id, got;
	struct issue is;
	struct fail f = FAIL_INIT;

	make(&id, "g");
	issue_init(&is);
	issue_set(&is, ISSUE_CN, "mx.example", NULL);
	id.request = issue_request(&is, id.key, NULL);
	X509_free(id.cert);
	id.cert = NULL;
	unit_int(identity_store(dir, &id, 0, &f), 0, "a request without a certificate");
	check_load("g", "", "/certs/.versions/g/1: no certificate for \"g\" yet, only its request: "
	    "`certstore install` takes the CA's answer");
	unit_int(identity_load(dir, "g", IDENTITY_NEED_KEY | IDENTITY_PENDING, &got, &f), 0, "is loaded");
	unit_ok(got.cert == NULL && got.key != NULL && got.request != NULL, "by who asks for it");
	identity_clear(&got);
	unit_int(identity_rollback(dir, "g", NULL, &f), -1, "nothing to go back to");
	unit_int(f.kind, FAIL_POLICY, "is a rule's refusal");
	issue_clear(&is);
	identity_clear(&id);
}

/* Who read an older version does not write over a newer one. */
static void
test_changed_meanwhile(void)
{
	struct identity id, mine;
	struct fail f = FAIL_INIT;

	make(&id, "h");
	identity_store(dir, &id, 0, NULL);
	unit_int(identity_load(dir, "h", IDENTITY_NEED_KEY, &mine, &f), 0, "read");
	identity_store(dir, &id, IDENTITY_REPLACE, NULL);
	unit_int(identity_store(dir, &mine, IDENTITY_REPLACE, &f), -1, "and changed meanwhile");
	unit_int(f.kind, FAIL_POLICY, "is a rule's refusal");
	unit_ok(!exists("certs/.versions/h/3"), "and nothing is written");
	identity_clear(&mine);
	identity_load(dir, "h", IDENTITY_NEED_KEY, &mine, &f);
	unit_int(identity_store(dir, &mine, IDENTITY_REPLACE, &f), 0, "not so when read anew");
	identity_clear(&mine);
	identity_clear(&id);
}

static void
test_rename_remove(void)
{
	struct identity one, two, got;
	struct identity_names names;
	struct fail f = FAIL_INIT;
	char *store = dir;

	dir = file_join(store, "rename");
	make(&one, "x");
	make(&two, "x");
	identity_store(dir, &one, 0, NULL);
	identity_store(dir, &two, IDENTITY_REPLACE, NULL);
	unit_int(identity_rename(dir, "x", "y", &f), 0, "renamed");
	unit_ok(!exists("certs/x") && !exists("certs/.versions/x"), "the old name is gone");
	unit_int(identity_load(dir, "y", IDENTITY_NEED_KEY, &got, NULL), 0, "the new one is there");
	unit_ok(X509_cmp(got.cert, two.cert) == 0, "and shows the same");
	identity_clear(&got);
	unit_int(identity_rollback(dir, "y", NULL, &f), 0, "with what was before");
	identity_load(dir, "y", IDENTITY_NEED_KEY, &got, NULL);
	unit_ok(X509_cmp(got.cert, one.cert) == 0, "which is the first");
	identity_clear(&got);
	identity_store(dir, &one, 0, NULL);
	unit_int(identity_rename(dir, "x", "y", &f), -1, "a name that is taken");
	unit_int(f.kind, FAIL_POLICY, "is refused by a rule");
	unit_ok(exists("certs/x") && exists("certs/y"), "and both stay");
	unit_int(identity_rename(dir, "x", "../y", &f), -1, "what cannot be a name is refused");
	unit_int(identity_list(dir, &names, &f), 0, "listed");
	unit_ok(names.n == 2 && strcmp(names.v[0], "x") == 0 && strcmp(names.v[1], "y") == 0, "sorted");
	identity_names_clear(&names);
	unit_int(identity_remove(dir, "x", &f), 0, "removed");
	unit_ok(!exists("certs/x") && !exists("certs/.versions/x"), "and gone");
	unit_int(identity_remove(dir, "x", &f), -1, "once");
	unit_int(f.kind, FAIL_INPUT, "for there is none");
	free(dir);
	dir = store;
	identity_clear(&one);
	identity_clear(&two);
}

enum { WRITERS = 4, ROUNDS = 25, LOADS = 200 };

/* Begins writers of an identity: with certificate and chain, or with a request in the place of both. */
static void
race_begin(const char *name, int waits)
{
	struct identity id;
	struct issue is;
	int i, n;

	for (i = 0; i < WRITERS; i++)
		if (fork() == 0) {
			make(&id, name);
			issue_init(&is);
			issue_set(&is, ISSUE_CN, "mx.example", NULL);
			id.chain = sk_X509_new_null();
			sk_X509_push(id.chain, X509_dup(id.cert));
			if (waits) {
				id.request = issue_request(&is, id.key, NULL);
				X509_free(id.cert);
				id.cert = NULL;
				sk_X509_pop_free(id.chain, X509_free);
				id.chain = NULL;
			}
			/* Amended, the version before goes at once. */
			for (n = 0; n < ROUNDS; n++)
				if (identity_store(dir, &id, IDENTITY_AMEND, NULL) == -1)
					_exit(1);
			_exit(0);
		}
}

static int
race_end(void)
{
	int i, status, bad = 0;

	for (i = 0; i < WRITERS; i++)
		if (wait(&status) == -1 || status != 0)
			bad++;
	return bad;
}

/* Many writers of one name, and a reader: everybody sees all that belongs together. */
static void
test_race(void)
{
	static const unsigned flags[] = { 0, IDENTITY_NEED_KEY, IDENTITY_PENDING,
		IDENTITY_NEED_KEY | IDENTITY_PENDING };
	struct identity got;
	struct fail f = FAIL_INIT;
	int n, waits, bad;

	for (waits = 0; waits < 2; waits++) {
		const char *name = waits ? "race-waits" : "race", *link = waits ? "certs/race-waits" : "certs/race";

		race_begin(name, waits);
		while (!exists(link))
			usleep(1000);
		for (bad = 0, n = 0; n < LOADS; n++) {
			if (identity_load(dir, name, flags[n % 4] | (waits ? IDENTITY_PENDING : 0), &got, &f) == -1 ||
			    (waits ? got.request == NULL : got.cert == NULL || sk_X509_num(got.chain) != 1))
				bad++;
			identity_clear(&got);
		}
		unit_int(bad, 0, "every load beside the writers is whole (%s)", f.text);
		unit_int(race_end(), 0, "every store succeeds");
		unit_int(identity_load(dir, name, IDENTITY_NEED_KEY | IDENTITY_PENDING, &got, NULL), 0,
		    "and the last is whole");
		identity_clear(&got);
	}
}

/* With a certificate's file that takes long to read the version is gone before the chain is looked for. */
static void
test_race_long(void)
{
	struct buf pem = BUF_INIT, chain = BUF_INIT;
	char *certs = file_join(dir, "certs");
	struct identity id, got;
	struct fail f = FAIL_INIT;
	int n, bad = 0, status;
	pid_t pid;

	make(&id, "race-long");
	pem_put_cert(&chain, id.cert, NULL);
	pem_put_cert(&pem, id.cert, NULL);
	for (n = 0; n < 40000; n++)
		buf_puts(&pem, "This is said of the certificate.\n");
	if ((pid = fork()) == 0) {
		const struct version_file v[] = { { "cert.pem", 0644, pem.p, pem.len },
			{ "chain.pem", 0644, chain.p, chain.len } };

		for (n = 0; n < 40; n++)
			if (version_store(certs, "race-long", v, 2, VERSION_REPLACE | VERSION_AMEND, NULL,
			    NULL) == -1)
				_exit(1);
		_exit(0);
	}
	while (!exists("certs/race-long"))
		usleep(1000);
	for (n = 0; waitpid(pid, &status, WNOHANG) == 0; n++) {
		if (identity_load(dir, "race-long", 0, &got, &f) == -1 || sk_X509_num(got.chain) != 1)
			bad++;
		identity_clear(&got);
	}
	unit_int(bad, 0, "none of %d loads lacks its chain (%s)", n, f.text);
	unit_int(status, 0, "and the writer succeeds");
	identity_clear(&id);
	buf_clear(&pem);
	buf_clear(&chain);
	free(certs);
}

static void
test_find(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ "B\xc3\x9c" "cher.Example.", "xn--bcher-kva.example" },
		{ "Exact.Example", "Exact.Example" },
		{ "EXACT.example", "exact.example" },
		{ "*.example.org", "_wildcard.example.org" },
		{ "2001:DB8:0:0::25", "2001:db8::25" },
		{ "none.example", NULL },
		{ "*.none.example", NULL },
		{ "../x", NULL },
	};
	struct fail f = FAIL_INIT;
	char *path, *name;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].want != NULL) {
			path = identity_path(dir, rows[i].want);
			file_mkdir(path, 0755, NULL);
			free(path);
		}
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		name = identity_find(dir, rows[i].text, &f);
		unit_str(name, rows[i].want, "%s is found", rows[i].text);
		free(name);
	}
	unit_str(f.text, "\"../x\" cannot be the name of an identity: it begins with - or .",
	    "what cannot be a name is told");
}

int
main(void)
{
	char template[] = "/tmp/mtatls-unit-XXXXXX";

	umask(0);
	if ((dir = mkdtemp(template)) == NULL)
		return 1;
	test_round_trip();
	test_replace();
	test_damaged();
	test_leftover();
	test_undo();
	test_amend();
	test_without_cert();
	test_changed_meanwhile();
	test_rename_remove();
	test_race();
	test_race_long();
	test_find();
	unit_int(file_remove_tree(dir, NULL), 0, "cleaned up");
	return unit_done();
}
