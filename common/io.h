/*
 * io - a byte stream over a TCP connection on a libevent loop, in clear text and then under TLS.
 *
 * Everything is told through callbacks from the loop, never from inside a call of the user's.  A
 * stream lives until its user gives it up with io_close() or io_abort(), or until closed() has been
 * called, whichever is first: after that no callback comes and the pointer must not be used.
 * Giving up inside a callback is allowed; the memory goes when the callback has returned.
 *
 *	io_connect -> connected -> input ... -> io_start_tls -> tls_done -> input ... -> io_close
 *
 * Nothing is read while connecting, shaking hands, or paused.  Reads go through one scratch buffer
 * that all streams of the process share (no threads); a stream holds input only where its user did
 * not take all of it, never more than IO_IN_MAX.  Output waits without limit: a user who produces
 * much writes a piece and waits for drained().  SIGPIPE never comes from here.
 */
#ifndef MTATLS_IO_H
#define MTATLS_IO_H

#include <sys/socket.h>

#include <stddef.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "fail.h"

#define IO_SCRATCH 16384	/* octets read at once: one TLS record */
#define IO_IN_MAX 65536		/* input held for a user who does not take it; then reading stops */
#define IO_CLOSE_MS 2000	/* for io_close() to send what waits and see the peer's close */

enum io_end {
	IO_END_EOF,		/* the peer closed */
	IO_END_REFUSED,		/* the connection was refused, or the peer cannot be reached */
	IO_END_RESET,		/* broken off by the peer or the network */
	IO_END_TIMEOUT,		/* the deadline passed */
	IO_END_TLS,		/* handshake or record failure */
	IO_END_INJECTION	/* clear text stood where the handshake was to begin */
};

struct io;

/* Each may be NULL where it cannot come or does not matter, input and closed excepted. */
struct io_handlers {
	void (*connected)(struct io *, void *arg);
	/*
	 * Returns how many of the n bytes were taken.  The rest comes again, with more behind it,
	 * when more has arrived or after io_resume().
	 */
	size_t (*input)(struct io *, const char *, size_t n, void *arg);
	void (*tls_done)(struct io *, void *arg);
	/* All output has been handed to the kernel. */
	void (*drained)(struct io *, void *arg);
	/*
	 * The last call.  The kind is FAIL_TEMP for a failure of the network (a connection that
	 * ends within the handshake included), FAIL_PEER for one of TLS or an injection.
	 */
	void (*closed)(struct io *, enum io_end, const struct fail *, void *arg);
};

/*
 * Begins a connection, from a source address where that is not NULL.  The handlers and arg are
 * borrowed.  NULL with FAIL_SYS, or FAIL_TEMP where the network is at fault.
 */
struct io *io_connect(struct event_base *, const struct sockaddr *, socklen_t,
    const struct sockaddr *source, const struct io_handlers *, void *arg, struct fail *);

/* Takes over a connected stream socket; closes it where that fails.  connected() does not come. */
struct io *io_accept(struct event_base *, int fd, const struct io_handlers *, void *arg,
    struct fail *);

/* Queues bytes.  In a handshake they wait until it is done. */
void io_write(struct io *, const void *, size_t);

enum io_role { IO_TLS_CLIENT, IO_TLS_SERVER };

/*
 * Sends what is queued, then shakes hands; ends in tls_done() or in closed(), with IO_END_TLS where
 * TLS is at fault.  For a connected stream in clear text; on any other the SSL is just freed.  Takes the SSL over and frees it with the stream.  Unread input ends it with IO_END_INJECTION:
 * held bytes, bytes that the input callback now running does not take, and for a client also bytes
 * waiting in the socket, since a server speaks only after the ClientHello.
 */
void io_start_tls(struct io *, SSL *, enum io_role);

/* One deadline, from now, in milliseconds; it replaces the one before.  0: none. */
void io_deadline(struct io *, int ms);

/* Reading stops and goes on again; a close by the peer is seen only when reading. */
void io_pause(struct io *);
void io_resume(struct io *);

size_t io_pending_out(const struct io *);	/* octets queued and not yet in the kernel */
int io_fd(const struct io *);			/* for getsockname(2) and getpeername(2) only */

/* NULL in clear text.  Borrowed: it goes with the stream. */
SSL *io_ssl0(const struct io *);

/*
 * Gives the stream up: what is queued is sent, TLS is closed with close_notify, the peer's close is
 * awaited (so that no reset overtakes our last words), all within IO_CLOSE_MS.  The loop goes on
 * that long.
 */
void io_close(struct io *);

/* Gives the stream up at once.  NULL is allowed, here and in io_close(). */
void io_abort(struct io *);

/* How many streams the process has, with those that io_close() still ends: 0 where all words are out. */
size_t io_count(void);

#endif
