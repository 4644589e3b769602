/*
 * dsn_advice - what an enhanced status code (RFC 3463, and the registry of RFC 5248) means for somebody who sent a
 * message and knows nothing of mail servers: what is the matter, and what to do about it.
 */
#ifndef MTATLS_DSN_ADVICE_H
#define MTATLS_DSN_ADVICE_H

/* Of "5.1.1" or "4.4.7", whose class does not count: one or two sentences; static, printable ASCII, never NULL. */
const char *dsn_advice(const char *status);

/*
 * The same of our own reason why a host was not given mail, where that was that TLS could not be used as is wanted: late,
 * it still waits, or its time is over.  NULL: another reason, or none.
 */
const char *dsn_advice_tls(const char *status, int late);

#endif
