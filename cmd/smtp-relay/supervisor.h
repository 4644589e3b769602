/*
 * supervisor - tells a supervisor such as systemd what the relay is at (sd_notify(3): a datagram to the unix socket that
 * NOTIFY_SOCKET names).
 */
#ifndef RELAY_SUPERVISOR_H
#define RELAY_SUPERVISOR_H

/* "READY=1", "STOPPING=1".  Where nobody has asked to be told, or does not listen, nothing happens. */
void supervisor_tell(const char *);

#endif
