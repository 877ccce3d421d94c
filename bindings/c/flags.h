/*
 * flags.h - the command line of the hosts: proxy.c and proxy_epoll.c.
 *
 * Rule: a wrong flag is told on stderr and changes nothing; what a value may be is the library's to say. A flag that
 * only a host with the library's threads can do something with is refused by the other.
 */
#ifndef FLAGS_H
#define FLAGS_H

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsproxy.h>

#include "hook.h"

enum {
    DRAIN_TIMEOUT_MS = 20000, /* the default: more than any closing handshake may take */
    MOST_CA_FILES = 16
};

/* Whose command line it is. */
struct program {
    const char *name, *usage;
    int is_event_loop; /* it has sockets, TLS and one thread of its own */
};

struct options {
    const struct program *program;
    const char *listen, *upstream;
    const char *tls_cert, *tls_key, *tls_ca[MOST_CA_FILES];
    size_t tls_ca_count;
    uint64_t max_connections; /* 0: any number */
    int64_t drain_timeout_ms;
    enum hook hook;
    int print, help;
    wsproxy_config *config; /* has all the rest */
};

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
static int parse_limit(struct options *options, const char *flag, const char *value)
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
            return parse_number(value, &number) &&
                   limits[i].set(options->config, WSPROXY_BOTH, number) == WSPROXY_OK;
    }
    if (strcmp(flag, "--idle-timeout") == 0)
        return parse_number(value, &number) &&
               wsproxy_config_set_idle_timeout(options->config, (int64_t)number) == WSPROXY_OK;
    if (strcmp(flag, "--max-connections") == 0)
        return parse_number(value, &options->max_connections) && options->max_connections > 0;
    if (strcmp(flag, "--drain-timeout") == 0) {
        if (!parse_number(value, &number))
            return 0;
        options->drain_timeout_ms = (int64_t)number;
        return 1;
    }
    return -1;
}

/* The library reads the file, and says what is wrong with it. */
static int parse_ca(struct options *options, const char *file)
{
    if (options->tls_ca_count == MOST_CA_FILES ||
        wsproxy_config_add_upstream_ca_file(options->config, file) != WSPROXY_OK)
        return 0;
    options->tls_ca[options->tls_ca_count++] = file;
    return 1;
}

/* Handles a flag that has a value; results as those of parse_limit. */
static int parse_valued(struct options *options, const char *flag, const char *value)
{
    const struct { const char *flag, **text; } texts[] = {
        {"--listen", &options->listen}, {"--upstream", &options->upstream},
        {"--tls-cert", &options->tls_cert}, {"--tls-key", &options->tls_key}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(flag, texts[i].flag) == 0) {
            *texts[i].text = value;
            return *value != '\0';
        }
    }
    if (strcmp(flag, "--hook") == 0)
        return parse_hook(value, &options->hook);
    if (strcmp(flag, "--threads") == 0)
        return parse_threads(value, options->config);
    if (strcmp(flag, "--tls-ca") == 0)
        return parse_ca(options, value);
    if (strcmp(flag, "--origin") == 0)
        return wsproxy_config_add_origin(options->config, value) == WSPROXY_OK;
    return parse_limit(options, flag, value);
}

/* Tells what is wrong with a flag, in the library's words where it has some. */
static int complain(const struct program *program, const char *what, const char *flag, const char *value,
                    const char *words)
{
    fprintf(stderr, "%s: %s %s%s%s%s%s\n%s", program->name, what, flag, *value ? " " : "", value, *words ? ": " : "",
            words, program->usage);
    return 0;
}

/* Why a host with an event loop has no use for a flag; NULL if it has. */
static const char *why_not_here(const char *flag)
{
    if (strcmp(flag, "--threads") == 0)
        return "one thread serves all sessions here; target/c/proxy has threads";
    return NULL;
}

/* What is needed is there, and what belongs together comes together. */
static int check_flags(const struct options *options)
{
    if (options->listen == NULL)
        return complain(options->program, "missing flag", "--listen", "", "");
    if (options->upstream == NULL)
        return complain(options->program, "missing flag", "--upstream", "", "");
    if (options->tls_cert == NULL && options->tls_key == NULL)
        return 1;
    if (options->tls_cert == NULL || options->tls_key == NULL)
        return complain(options->program, "missing flag", options->tls_cert == NULL ? "--tls-cert" : "--tls-key", "", "");
    if (wsproxy_config_set_client_certificate_file(options->config, options->tls_cert, options->tls_key) != WSPROXY_OK)
        return complain(options->program, "bad value:", "--tls-cert", options->tls_cert, wsproxy_config_error(options->config));
    return 1;
}

static int parse_flags(struct options *options, int count, char **flags)
{
    for (int i = 1; i < count; i++) {
        const char *flag = flags[i], *value = i + 1 < count ? flags[i + 1] : "";
        if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
            options->help = 1;
            return 1;
        }
        if (strcmp(flag, "--print") == 0) {
            options->print = 1;
        } else if (strcmp(flag, "--aggregate") == 0) {
            wsproxy_config_set_aggregate(options->config, WSPROXY_BOTH, 1);
        } else if (options->program->is_event_loop && why_not_here(flag) != NULL) {
            return complain(options->program, "no use for", flag, "", why_not_here(flag));
        } else {
            int parsed = parse_valued(options, flag, value);
            if (parsed < 0)
                return complain(options->program, "unknown flag", flag, "", "");
            if (parsed == 0)
                return complain(options->program, "bad value:", flag, value, wsproxy_config_error(options->config));
            i++;
        }
    }
    return check_flags(options);
}

/* The whole of main: reads the command line, and runs the host with what it says. Returns the status to end with. */
static int run_with_flags(const struct program *program, int count, char **flags,
                          int (*run)(struct options *options))
{
    if (wsproxy_check_abi(WSPROXY_ABI) != WSPROXY_OK) {
        fprintf(stderr, "%s: libwsproxy %s has another ABI than the header\n", program->name, wsproxy_version());
        return 1;
    }
    struct options options;
    memset(&options, 0, sizeof options);
    options.program = program;
    options.drain_timeout_ms = DRAIN_TIMEOUT_MS;
    options.config = wsproxy_config_new();
    if (options.config == NULL) {
        fprintf(stderr, "%s: out of memory\n", program->name);
        return 1;
    }
    int status = 2;
    if (parse_flags(&options, count, flags))
        status = options.help ? fputs(program->usage, stdout) == EOF : run(&options);
    wsproxy_config_free(options.config);
    return status;
}

#endif
