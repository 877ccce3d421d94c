/*
 * process.h - what a proxy asks of the system for itself: descriptors, and memory that it gives back.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/resource.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { CROWD = 64 }; /* as many sessions at once leave memory that is worth giving back */

/* A session has at least two descriptors; a thousand sessions are more than the usual limit of 1024. */
static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* glibc keeps what was freed, scattered over an arena per core or more, for good. */
static inline void keep_memory_together(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

static inline void give_memory_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

#endif
