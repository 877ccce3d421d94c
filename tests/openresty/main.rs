//! The Lua modules in real nginx: every statement about `resty.websocket.proxy`, and every defect that ours mends.
//!
//! Files named `mended_*` show where ours differs from the module whose place it takes. All others must pass with that
//! module too: `WSPROXY_TEST_LUA_PATH=/its/folder/?.lua cargo test --test openresty -- --skip mended` puts one first.

#[allow(dead_code)]
#[path = "../tls/authority.rs"]
mod authority;
mod conf;
mod log;
mod nginx;
mod port;
mod scene;
#[path = "../shared_library/mod.rs"]
mod shared_library;
#[allow(dead_code)]
#[path = "../tls/stream.rs"]
mod stream;
#[path = "../support/mod.rs"]
mod support;

mod client_handshake;
mod connecting;
mod debugging;
mod ending;
mod forwarding;
mod host_frames;
mod limits;
mod lua_peers;
mod mended_callbacks;
mod mended_closing;
mod mended_cost;
mod mended_fragments;
mod mended_handshakes;
mod mended_peers;
mod mended_protocol;
mod mended_resty_wsproxy;
mod mended_sizes;
mod mended_time;
mod mended_tls;
mod modules;
mod on_frame;
mod receive_timeout;
mod statuses;
mod upstream_errors;
mod upstream_request;
mod workers;
mod wss;
mod yielding;
