/* Stands before the system's accept4(2) by LD_PRELOAD: fails with the number in the file that ACCEPT_FAILS names, for as
   long as there is one. The connection goes on waiting, as when the system itself has nothing left for it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int accept4(int socket, struct sockaddr *peer, socklen_t *length, int flags)
{
    int number = 0;
    FILE *said = fopen(getenv("ACCEPT_FAILS"), "r");
    if (said) {
        if (fscanf(said, "%d", &number) != 1)
            number = 0;
        fclose(said);
    }
    if (number) {
        errno = number;
        return -1;
    }
    int (*next)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    return next(socket, peer, length, flags);
}
