/* CHECK: ends the test, saying where and what. Every test program also ends by itself when it takes too long. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what)                                                                  \
    do {                                                                             \
        if (!(what)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);     \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

#define CHECK_INT(found, wanted)                                                     \
    do {                                                                             \
        long long found_ = (long long)(found), wanted_ = (long long)(wanted);        \
        if (found_ != wanted_) {                                                     \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__,     \
                    #found, found_, wanted_);                                        \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

/* That a text contains another; texts for people are not compared letter by letter. */
#define CHECK_WORDS(found, wanted)                                                   \
    do {                                                                             \
        const char *found_ = (found), *wanted_ = (wanted);                           \
        if (found_ == NULL || strstr(found_, wanted_) == NULL) {                     \
            fprintf(stderr, "%s:%d: %s is \"%s\", which has no \"%s\"\n", __FILE__,  \
                    __LINE__, #found, found_ ? found_ : "NULL", wanted_);            \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

#define TIME_LIMIT_S 240

#endif
