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
    config.after_includes = Some(macros());
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/lib.rs"))
        .generate()
        .expect("the C interface can be generated");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("cbindgen writes UTF-8");
    let generated = out.join("losant.h");
    fs::write(&generated, arrange(&text)).expect("OUT_DIR can be written");
    println!("cargo:rustc-env=LOSANT_GENERATED_HEADER={}", generated.display());
    install_if_changed(&generated, &root.join("include/losant.h"));
}

fn macros() -> String {
    let (major, minor, patch) = (version("MAJOR"), version("MINOR"), version("PATCH"));
    let full = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    format!(
        "
/** The version of the library that this header belongs to; losant_version() tells the one that runs. */
#define LOSANT_VERSION_MAJOR {major}
#define LOSANT_VERSION_MINOR {minor}
#define LOSANT_VERSION_PATCH {patch}
#define LOSANT_VERSION \"{full}\"

/** A version as one number, for comparisons: #if LOSANT_VERSION_NUMBER >= LOSANT_MAKE_VERSION(0, 2, 0) */
#define LOSANT_MAKE_VERSION(major, minor, patch) ((major) * 1000000 + (minor) * 1000 + (patch))
#define LOSANT_VERSION_NUMBER LOSANT_MAKE_VERSION({major}, {minor}, {patch})

/** What a losant_state begins as: losant_state state = LOSANT_STATE_INIT; */
#define LOSANT_STATE_INIT {{(uint32_t)sizeof(losant_state), 0, NULL, 0, 0, NULL, NULL, NULL}}"
    )
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

/// The sections of the header in their order: the title, a word on it, and what stands in it. Types come before the
/// functions that use them.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    (
        "STATUS",
        "What functions answer, and the version of the library.",
        &["losant_status", "losant_status_string", "losant_version"],
    ),
    ("EVENTS", "What observers are told.", &["losant_event_type", "losant_stage", "losant_event", "losant_parse_time"]),
    ("DEVICE", "Making and freeing devices.", &["losant_device", "losant_device_new", "losant_device_free"]),
    (
        "OPTIONS",
        "Set before connecting; all have defaults that suit Losant.",
        &[
            "losant_transport",
            "losant_device_set_host",
            "losant_device_set_port",
            "losant_device_set_secure",
            "losant_device_set_transport",
            "losant_device_set_websocket_path",
            "losant_device_add_http_header",
            "losant_device_set_interface",
            "losant_device_set_keep_alive_seconds",
            "losant_device_set_receive_commands",
            "losant_device_set_qos",
            "losant_device_set_reconnect_delay",
            "losant_device_set_connect_timeout",
        ],
    ),
    (
        "TRUST",
        "Whose certificates are believed, and the device's own. Set before connecting.",
        &[
            "losant_device_set_ca_pem",
            "losant_device_set_ca_file",
            "losant_device_set_system_roots",
            "losant_device_set_client_certificate_pem",
            "losant_device_set_client_certificate_files",
        ],
    ),
    (
        "LIMITS",
        "How much is kept, and how fast it goes out. Set before connecting.",
        &[
            "losant_when_full",
            "losant_device_set_outbox_limits",
            "losant_device_set_when_full",
            "losant_device_set_max_in_flight",
            "losant_device_set_merge_limit",
            "losant_device_set_strict",
            "losant_device_set_rate_limit",
            "losant_set_connect_limit",
        ],
    ),
    (
        "RUNNING",
        "Connecting, the three ways to run, waiting for delivery, closing, and what a device has done.",
        &[
            "losant_device_connect",
            "losant_device_loop",
            "losant_device_start",
            "losant_device_is_connected",
            "losant_device_close",
            "losant_device_drain",
            "losant_device_flush",
            "losant_device_fd",
            "losant_device_next_timeout",
            "losant_connection_state",
            "losant_stats",
            "losant_device_stats",
        ],
    ),
    ("STATES", "Reporting states.", &["losant_device_send_state", "losant_state", "losant_device_send"]),
    (
        "OBSERVERS",
        "Who is told of events.",
        &[
            "losant_event_callback",
            "losant_destroy_callback",
            "losant_device_add_event_observer",
            "losant_device_remove_event_observer",
        ],
    ),
    (
        "GATEWAY",
        "A gateway reports for its peripherals on its own connection: losant_device_send with losant_state.peripheral_id.",
        &[],
    ),
    (
        "LOGS",
        "The library prints nothing; the host may listen.",
        &["losant_log_level", "losant_log_callback", "losant_set_log_callback"],
    ),
];

/// Puts what cbindgen has written into sections with banners, so that the header reads as a table of contents.
fn arrange(text: &str) -> String {
    const OPEN: &str = "#ifdef __cplusplus\nextern \"C\" {\n#endif\n";
    const CLOSE: &str = "#ifdef __cplusplus\n}\n#endif\n";
    let begin = text.find("\n\n/**\n").map_or(text.len(), |at| at + 2);
    let (head, rest) = text.split_at(begin);
    let (items, end) = rest.split_at(rest.find("#endif  /* LOSANT_H */").unwrap_or(rest.len()));
    // The blocks for C++ have their place around all of it.
    let items =
        items.split("#ifdef __cplusplus\n").map(|part| part.split_once("__cplusplus\n").map_or(part, |(_, rest)| rest));
    let items: String = items.collect();
    let mut found: Vec<(String, String)> = Vec::new();
    for item in items.split("\n\n/**\n").map(|item| item.trim_matches('\n')).filter(|item| !item.is_empty()) {
        let item = if item.starts_with("/**") { item.to_owned() } else { format!("/**\n{item}") };
        found.push((name_of(&item), item));
    }
    let mut arranged = format!("{head}{OPEN}");
    for (title, word, names) in SECTIONS {
        let line = "=".repeat(100 - title.len());
        arranged.push_str(&format!("\n/* ==== {title} {line}\n * {word}\n */\n"));
        for name in *names {
            let at = found.iter().position(|(found, _)| found == name);
            let at = at.unwrap_or_else(|| {
                let there: Vec<_> = found.iter().map(|(name, _)| name).collect();
                panic!("{name} stands in a section of build.rs, but not in the source: {there:?}")
            });
            arranged.push_str(&format!("\n{}\n", found.remove(at).1));
        }
    }
    assert!(
        found.is_empty(),
        "in no section of build.rs: {:?}",
        found.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    format!("{arranged}\n{CLOSE}\n{end}")
}

/// What an item declares: a type by the name behind its braces or in its typedef, a function by its own.
fn name_of(item: &str) -> String {
    let declaration = item.rsplit("*/\n").next().unwrap_or_default();
    let candidates = if let Some((_, name)) = declaration.rsplit_once("} ") {
        name
    } else if let Some((_, name)) = declaration.split_once("(*") {
        name
    } else if declaration.starts_with("typedef struct ") {
        declaration.rsplit(' ').next().unwrap_or_default()
    } else {
        let head = declaration.split('(').next().unwrap_or_default();
        head.rsplit([' ', '*']).next().unwrap_or_default()
    };
    candidates.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
