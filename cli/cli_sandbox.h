/*
 * What a server gives up before it serves, and a process in which a model is tried: new privileges,
 * writing and executing files, and system calls that no server needs. What the kernel does not have
 * is left out, and said.
 */
#ifndef LAMINA_CLI_SANDBOX_H
#define LAMINA_CLI_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_sandbox {
    const char *const *read; /* files and folders that may be read, with all below them */
    size_t n_read;
    const char *const *sockets; /* folders in which UNIX sockets are made */
    size_t n_sockets;
    bool no_new_privs, landlock, seccomp; /* what came of it */
} cli_sandbox;

/* For the calling thread and all that it will start: so before there are others. */
void cli_sandbox_enter(cli_sandbox *s);
/* On top of that, for a process that has nobody to talk to: no sockets, no signals to others, no
 * processes; threads are fine. False: the kernel takes no filter. */
bool cli_sandbox_enter_alone(void);

#endif
