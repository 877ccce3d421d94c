/*
 * flags.h - the command line of proxy.c, which alone includes this.
 *
 * Rule: a wrong flag is told on stderr and changes nothing; what a value may be is the library's to say.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsproxy.h>

enum hook { HOOK_NONE, HOOK_PASS, HOOK_UPPER };

struct options {
    const char *listen;
    const char *upstream;
    enum hook hook;
    int print;
    wsproxy_config *config;
};

/* Splits HOST:PORT or [HOST]:PORT into the two; returns 0 if it is neither. */
static int split_address(const char *address, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0')
        return 0;
    size_t length = (size_t)(colon - address);
    int bracketed = address[0] == '[' && address[length - 1] == ']';
    if (bracketed) {
        address++;
        length -= 2;
    } else if (memchr(address, ':', length) != NULL) {
        return 0; /* an IPv6 address needs its brackets */
    }
    if (length == 0 || length >= host_size)
        return 0;
    memcpy(host, address, length);
    host[length] = '\0';
    *port = colon + 1;
    return strspn(*port, "0123456789") == strlen(*port) && strlen(*port) <= 5 && atoi(*port) <= 65535;
}

static const char usage[] =
    "usage: proxy --listen HOST:PORT --upstream URL\n"
    "             [--hook none|pass|upper] [--threads serial|concurrent|caller] [--aggregate]\n"
    "             [--max-frame-size N] [--max-message-size N] [--max-fragments N]\n"
    "             [--idle-timeout MS] [--print]\n";

/* Reads a decimal number; returns 0 if it is none. */
static int parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value > INT64_MAX)
        return 0;
    *number = value;
    return 1;
}

static int parse_hook(const char *text, enum hook *hook)
{
    static const char *const names[] = {"none", "pass", "upper"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *hook = (enum hook)i;
            return 1;
        }
    }
    return 0;
}

static int parse_threads(const char *text, wsproxy_config *config)
{
    static const struct { const char *name; int policy; } policies[] = {
        {"serial", WSPROXY_SERIAL}, {"concurrent", WSPROXY_CONCURRENT}, {"caller", WSPROXY_CALLER}};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(text, policies[i].name) == 0)
            return wsproxy_config_set_policy(config, policies[i].policy) == WSPROXY_OK;
    }
    return 0;
}

/* Handles a flag that has a number. Returns 1 if that went well, 0 if not, -1 if it is no such flag. */
static int parse_limit(wsproxy_config *config, const char *flag, const char *value)
{
    static const struct {
        const char *flag;
        int (*set)(wsproxy_config *, int, uint64_t);
    } limits[] = {{"--max-frame-size", wsproxy_config_set_max_frame_size},
                  {"--max-message-size", wsproxy_config_set_max_message_size},
                  {"--max-fragments", wsproxy_config_set_max_fragments}};
    uint64_t number;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (strcmp(flag, limits[i].flag) == 0)
            return parse_number(value, &number) && limits[i].set(config, WSPROXY_BOTH, number) == WSPROXY_OK;
    }
    if (strcmp(flag, "--idle-timeout") == 0)
        return parse_number(value, &number) &&
               wsproxy_config_set_idle_timeout(config, (int64_t)number) == WSPROXY_OK;
    return -1;
}

/* Handles a flag that has a value; results as those of parse_limit. */
static int parse_valued(struct options *options, const char *flag, const char *value)
{
    char host[256];
    const char *port;
    if (strcmp(flag, "--listen") == 0) {
        options->listen = value;
        return split_address(value, host, sizeof host, &port);
    }
    if (strcmp(flag, "--upstream") == 0) {
        options->upstream = value;
        return strncmp(value, "ws://", 5) == 0 && value[5] != '\0';
    }
    if (strcmp(flag, "--hook") == 0)
        return parse_hook(value, &options->hook);
    if (strcmp(flag, "--threads") == 0)
        return parse_threads(value, options->config);
    return parse_limit(options->config, flag, value);
}

static int complain(const struct options *options, const char *what, const char *flag, const char *value)
{
    const char *words = wsproxy_config_error(options->config);
    fprintf(stderr, "proxy: %s %s%s%s%s%s\n%s", what, flag, *value ? " " : "", value, *words ? ": " : "", words, usage);
    return 0;
}

static int parse_flags(struct options *options, int count, char **flags)
{
    for (int i = 1; i < count; i++) {
        const char *flag = flags[i], *value = i + 1 < count ? flags[i + 1] : "";
        if (strcmp(flag, "--print") == 0) {
            options->print = 1;
        } else if (strcmp(flag, "--aggregate") == 0) {
            wsproxy_config_set_aggregate(options->config, WSPROXY_BOTH, 1);
        } else {
            int parsed = parse_valued(options, flag, value);
            if (parsed < 0)
                return complain(options, "unknown flag", flag, "");
            if (parsed == 0)
                return complain(options, "bad value:", flag, value);
            i++;
        }
    }
    if (options->listen == NULL)
        return complain(options, "missing flag", "--listen", "");
    if (options->upstream == NULL)
        return complain(options, "missing flag", "--upstream", "");
    return 1;
}
