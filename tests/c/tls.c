/*
 * TLS as far as C has a hand in it: what certificates and keys are taken, from files and from memory, and what a session
 * says when there is no TLS at the other end. TLS itself is tested from Rust.
 *
 * usage: tls FOLDER, which has cert.pem with its key.pem, other.pem, which is the key of another certificate, and
 * no.pem, which is no PEM.
 */
#include <limits.h>

#include "scene.h"

static const char *folder;

static const char *in_folder(const char *name)
{
    static char paths[4][PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

struct content {
    size_t length;
    char bytes[8192];
};

static struct content read_whole(const char *name)
{
    struct content content;
    FILE *file = fopen(in_folder(name), "rb");
    CHECK(file != NULL);
    content.length = fread(content.bytes, 1, sizeof content.bytes, file);
    CHECK(content.length > 0 && content.length < sizeof content.bytes);
    fclose(file);
    return content;
}

#define REFUSED(config, call, code, words)                        \
    do {                                                          \
        CHECK_INT(call, code);                                    \
        CHECK_WORDS(wsproxy_config_error(config), words);         \
    } while (0)

static void files_that_cannot_be_read_are_named_with_the_reason(void)
{
    wsproxy_config *c = wsproxy_config_new();
    const char *none = in_folder("none.pem"), *cert = in_folder("cert.pem");
    REFUSED(c, wsproxy_config_add_upstream_ca_file(c, none), WSPROXY_ERR_IO, none);
    REFUSED(c, wsproxy_config_add_upstream_ca_file(c, none), WSPROXY_ERR_IO, "No such file");
    REFUSED(c, wsproxy_config_add_upstream_ca_file(c, folder), WSPROXY_ERR_IO, "directory");
    REFUSED(c, wsproxy_config_set_upstream_certificate_file(c, none, none), WSPROXY_ERR_IO, none);
    REFUSED(c, wsproxy_config_set_upstream_certificate_file(c, cert, none), WSPROXY_ERR_IO, none);
    REFUSED(c, wsproxy_config_set_client_certificate_file(c, cert, none), WSPROXY_ERR_IO, none);
    REFUSED(c, wsproxy_config_set_client_certificate_file(c, cert, NULL), WSPROXY_ERR_ARGUMENT, "key file is NULL");
    wsproxy_config_free(c);
}

static void files_with_something_else_in_them_are_named_with_what_is_wrong(void)
{
    wsproxy_config *c = wsproxy_config_new();
    const char *cert = in_folder("cert.pem"), *other = in_folder("other.pem"), *no = in_folder("no.pem");
    REFUSED(c, wsproxy_config_add_upstream_ca_file(c, no), WSPROXY_ERR_ARGUMENT, no);
    REFUSED(c, wsproxy_config_add_client_ca_file(c, no), WSPROXY_ERR_ARGUMENT, no);
    REFUSED(c, wsproxy_config_set_upstream_certificate_file(c, cert, no), WSPROXY_ERR_ARGUMENT, no);
    REFUSED(c, wsproxy_config_set_upstream_certificate_file(c, cert, no), WSPROXY_ERR_ARGUMENT, "no private key");
    REFUSED(c, wsproxy_config_set_client_certificate_file(c, cert, other), WSPROXY_ERR_ARGUMENT, other);
    REFUSED(c, wsproxy_config_set_client_certificate_file(c, cert, other), WSPROXY_ERR_ARGUMENT,
            "not that of its certificate");
    wsproxy_config_free(c);
}

static void the_same_holds_for_memory(void)
{
    wsproxy_config *c = wsproxy_config_new();
    struct content cert = read_whole("cert.pem"), key = read_whole("key.pem"), other = read_whole("other.pem");
    REFUSED(c, wsproxy_config_add_upstream_ca(c, "nonsense", 8), WSPROXY_ERR_ARGUMENT, "certificate");
    REFUSED(c, wsproxy_config_add_client_ca(c, "nonsense", 8), WSPROXY_ERR_ARGUMENT, "certificate");
    REFUSED(c, wsproxy_config_set_upstream_certificate(c, cert.bytes, cert.length, "nonsense", 8),
            WSPROXY_ERR_ARGUMENT, "no private key");
    REFUSED(c, wsproxy_config_set_client_certificate(c, cert.bytes, cert.length, other.bytes, other.length),
            WSPROXY_ERR_ARGUMENT, "not that of its certificate");
    REFUSED(c, wsproxy_config_set_client_certificate(c, "nonsense", 8, key.bytes, key.length),
            WSPROXY_ERR_ARGUMENT, "certificate");
    CHECK_INT(wsproxy_config_add_upstream_ca(c, cert.bytes, cert.length), WSPROXY_OK);
    CHECK_INT(wsproxy_config_add_client_ca(c, cert.bytes, cert.length), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_upstream_certificate(c, cert.bytes, cert.length, key.bytes, key.length), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_client_certificate(c, cert.bytes, cert.length, key.bytes, key.length), WSPROXY_OK);
    wsproxy_config_free(c);
}

static void a_client_that_speaks_no_tls_is_not_let_in(wsproxy_config *config)
{
    struct scene scene;
    CHECK_INT(wsproxy_config_set_connect_timeout(config, TIME_LIMIT_S * 1000), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_client_certificate_file(config, in_folder("cert.pem"), in_folder("key.pem")),
              WSPROXY_OK);
    scene_set(&scene, config);
    scene_start(&scene, NULL, NULL);
    client_sends_request(scene.client);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_TLS);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_CLIENT);
    scene_close(&scene);
}

static void an_upstream_that_speaks_no_tls_is_a_502_for_the_client(wsproxy_config *config)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct scene scene;
    char head[HEAD_SIZE], hello;
    CHECK_INT(wsproxy_config_set_connect_timeout(config, TIME_LIMIT_S * 1000), WSPROXY_OK); /* valgrind is slow */
    CHECK_INT(wsproxy_config_add_upstream_ca_file(config, in_folder("cert.pem")), WSPROXY_OK);
    CHECK_INT(wsproxy_config_set_upstream_certificate_file(config, in_folder("cert.pem"), in_folder("key.pem")),
              WSPROXY_OK);
    scene_set(&scene, config);
    memmove(scene.url + 3, scene.url + 2, strlen(scene.url) - 1);
    scene.url[2] = 's';
    scene_start(&scene, NULL, NULL);
    client_sends_request(scene.client);
    scene.upstream = accept_local(scene.listener);
    CHECK(recv_all(scene.upstream, &hello, 1));
    CHECK_INT(hello, 22); /* a record of TLS: handshake */
    send_all(scene.upstream, answer, strlen(answer));
    recv_head(scene.client, head);
    CHECK_WORDS(head, "HTTP/1.1 502 ");
    client_ends(scene.client);
    CHECK_INT(scene_result(&scene), WSPROXY_ERR_TLS);
    CHECK_INT(wsproxy_error_fault(scene.p), WSPROXY_FAULT_UPSTREAM);
    scene_close(&scene);
}

int main(int argc, char **argv)
{
    int before = open_descriptors();
    CHECK_INT(argc, 2);
    folder = argv[1];
    alarm(TIME_LIMIT_S);
    files_that_cannot_be_read_are_named_with_the_reason();
    files_with_something_else_in_them_are_named_with_what_is_wrong();
    the_same_holds_for_memory();
    UNDER_EACH_POLICY(a_client_that_speaks_no_tls_is_not_let_in);
    UNDER_EACH_POLICY(an_upstream_that_speaks_no_tls_is_a_502_for_the_client);
    CHECK_INT(open_descriptors(), before);
    return 0;
}
