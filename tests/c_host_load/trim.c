/* Preloaded into the C host: on SIGUSR1 the allocator gives back what is free, so that what is left is what is held. */
#include <malloc.h>
#include <signal.h>

static void trim(int number)
{
    (void)number;
    malloc_trim(0);
}

__attribute__((constructor)) static void prepare(void)
{
    struct sigaction action = {.sa_handler = trim};
    sigaction(SIGUSR1, &action, NULL);
}
