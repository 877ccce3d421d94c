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
    const char *listen, *upstream; /* proxy.c hands them to the server */
    const char *tls_cert, *tls_key;
    uint64_t max_connections; /* 0: any number */
    int64_t drain_timeout_ms;
    enum hook hook;
    int print, help;
    wsproxy_config *config; /* has all the rest */
};

static const char usage[] =
    "usage: proxy --listen HOST:PORT|unix:PATH --upstream URL\n"
    "             [--hook none|pass|upper] [--threads serial|concurrent|caller] [--aggregate]\n"
    "             [--tls-cert FILE --tls-key FILE] [--tls-ca FILE]... [--origin ORIGIN]...\n"
    "             [--max-connections N] [--drain-timeout MS] [--idle-timeout MS]\n"
    "             [--max-frame-size N] [--max-message-size N] [--max-fragments N] [--print] [--help]\n"
    "bindings/c/README.md tells what each is.\n";

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
        return wsproxy_config_add_upstream_ca_file(options->config, value) == WSPROXY_OK;
    if (strcmp(flag, "--origin") == 0)
        return wsproxy_config_add_origin(options->config, value) == WSPROXY_OK;
    return parse_limit(options, flag, value);
}

/* Tells what is wrong with a flag, in the library's words where it has some. */
static int complain(const char *what, const char *flag, const char *value, const char *words)
{
    fprintf(stderr, "proxy: %s %s%s%s%s%s\n%s", what, flag, *value ? " " : "", value, *words ? ": " : "", words, usage);
    return 0;
}

/* What is needed is there, and what belongs together comes together. */
static int check_flags(const struct options *options)
{
    if (options->listen == NULL)
        return complain("missing flag", "--listen", "", "");
    if (options->upstream == NULL)
        return complain("missing flag", "--upstream", "", "");
    if (options->tls_cert == NULL && options->tls_key == NULL)
        return 1;
    if (options->tls_cert == NULL || options->tls_key == NULL)
        return complain("missing flag", options->tls_cert == NULL ? "--tls-cert" : "--tls-key", "", "");
    if (wsproxy_config_set_client_certificate_file(options->config, options->tls_cert, options->tls_key) != WSPROXY_OK)
        return complain("bad value:", "--tls-cert", options->tls_cert, wsproxy_config_error(options->config));
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
        } else {
            int parsed = parse_valued(options, flag, value);
            if (parsed < 0)
                return complain("unknown flag", flag, "", "");
            if (parsed == 0)
                return complain("bad value:", flag, value, wsproxy_config_error(options->config));
            i++;
        }
    }
    return check_flags(options);
}
