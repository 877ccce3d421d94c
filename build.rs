//! Sets the SONAME of the shared library. Writes nothing, into the source tree or anywhere else.

/// Raised with every incompatible change of the C ABI; the same number as `WSPROXY_ABI` in `src/ffi`.
const ABI: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwsproxy.so.{ABI}");
        // A name lookup that was given up cannot be called off: its thread may still run our code after dlclose.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
