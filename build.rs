//! Generates `include/losant.h`, sets the SONAME, and tells the library when it was built.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    built_time();
    soname();
    header();
}

/// The oldest time that a right clock can show. SOURCE_DATE_EPOCH makes builds reproducible.
fn built_time() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let seconds =
        given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    println!("cargo:rustc-env=LOSANT_BUILT_MS={}", seconds * 1000);
}

fn soname() {
    // cargo-c passes its own.
    if env::var_os("CARGO_FEATURE_CAPI").is_some() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let (major, minor) = (version("MAJOR"), version("MINOR"));
    let abi = if major == "0" { format!("0.{minor}") } else { major };
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,liblosant.so.{abi}");
    // The background thread may still be in this code when a host calls dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

fn version(part: &str) -> String {
    env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default()
}

fn header() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/losant.h");

    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    config.after_includes = Some(format!(
        "\n/** The version of the library that this header belongs to; `losant_version()` tells the one that runs. */\n\
         #define LOSANT_VERSION_MAJOR {}\n#define LOSANT_VERSION_MINOR {}\n#define LOSANT_VERSION_PATCH {}\n\
         #define LOSANT_VERSION \"{}\"",
        version("MAJOR"),
        version("MINOR"),
        version("PATCH"),
        env::var("CARGO_PKG_VERSION").unwrap_or_default(),
    ));
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/lib.rs"))
        .generate()
        .expect("the C interface can be generated");
    let generated = out.join("losant.h");
    bindings.write_to_file(&generated);
    println!("cargo:rustc-env=LOSANT_GENERATED_HEADER={}", generated.display());
    install_if_changed(&generated, &root.join("include/losant.h"));
}

/// Replaces the committed header only when its text differs, by rename, so that no build looks dirty and no compiler
/// reads half a file. A read-only source tree keeps the header that it has.
fn install_if_changed(generated: &Path, committed: &Path) {
    let Ok(new) = fs::read(generated) else { return };
    if fs::read(committed).is_ok_and(|old| old == new) {
        return;
    }
    let partial = committed.with_extension(format!("h.{}", std::process::id()));
    if fs::write(&partial, new).and_then(|()| fs::rename(&partial, committed)).is_err() {
        println!("cargo:warning=include/losant.h differs from the source and could not be written");
    }
}
