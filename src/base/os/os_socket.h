/*
 * Stream sockets, TCP and UNIX, none of which ever blocks. Addresses are numbers ("localhost" and
 * "*" apart): nothing here asks a name server.
 */
#ifndef LMN_BASE_OS_SOCKET_H
#define LMN_BASE_OS_SOCKET_H

#include "base/error.h"

#define LMN_PEER_BYTES 48 /* an address as text, without its port */

typedef struct lmn_address {
    _Alignas(8) uint8_t bytes[112]; /* as the system writes it */
    uint32_t n;
} lmn_address;

/* "HOST:PORT", "[V6]:PORT", "PORT" (of 127.0.0.1), "unix:/PATH"; "*" is every interface. E_INVALID.
 */
lamina_status lmn_address_parse(const char *where, lmn_address *out, lamina_error *err);
uint16_t lmn_address_port(const lmn_address *a); /* 0: UNIX */
void lmn_address_set_port(lmn_address *a, uint16_t port);
bool lmn_address_is_unix(const lmn_address *a);
/* Only this machine can reach it: a UNIX socket or a loopback address. */
bool lmn_address_is_local(const lmn_address *a);

/* `share`: others of this process listen at the same TCP port, the system spreads connections over
 * them. A UNIX path that nobody answers at is taken over; what is made there is this user's alone.
 * E_BUSY: in use; E_PERM; E_OS. */
lamina_status lmn_sock_listen(const lmn_address *a, bool share, int *fd, lamina_error *err);
/* A listening socket that was passed to the process. E_INVALID: it is none. */
lamina_status lmn_sock_adopt(int fd, lamina_error *err);
/* The address that a socket is bound to. */
void lmn_sock_address(int fd, lmn_address *out);
/* Remove the path of a UNIX socket that listens no more. */
void lmn_address_remove(const lmn_address *a);

/* Instead of a descriptor or a count: */
enum {
    LMN_SOCK_AGAIN = -1, /* nothing now */
    LMN_SOCK_LOST = -2,  /* this connection is gone */
    LMN_SOCK_FULL = -3   /* accept: the process or the system has no descriptors or memory left */
};
/* A connection that waits; `peer` as text, "unix" for those of a UNIX socket. */
int lmn_sock_accept(int listener, char peer[LMN_PEER_BYTES]);
/* How many bytes came; 0: the end. */
int64_t lmn_sock_recv(int fd, void *buf, size_t cap);
/* The same over a UNIX socket, with a descriptor that may come along: *passed is it, owned, or is
 * left as it is. Of several the first. */
int64_t lmn_sock_recv_passed(int fd, void *buf, size_t cap, int *passed);
/* How many bytes of the spans went; never raises a signal. n_spans <= 64. */
int64_t lmn_sock_send(int fd, const lmn_span *spans, uint32_t n_spans);
/* Say that no more will be sent. */
void lmn_sock_finish(int fd);
/* A listener lets nobody new begin to connect; who has can still be accepted. Where the system
   cannot, nothing: who comes between the last accept and the close is reset. */
void lmn_sock_refuse(int fd);
void lmn_sock_close(int fd);
/* Who opened a connection of a UNIX socket; false: that is not known here (another kind of socket,
 * a process that this one cannot see). */
typedef struct lmn_sock_peer {
    int64_t pid;
    uint32_t uid;
} lmn_sock_peer;
bool lmn_sock_peer_of(int fd, lmn_sock_peer *out);

/* Begin to connect; when the socket is writable lmn_sock_connected tells how it went. */
lamina_status lmn_sock_connect(const lmn_address *a, int *fd, lamina_error *err);
lamina_status lmn_sock_connected(int fd, lamina_error *err);

#endif
