//! C programs from tests/c, compiled with the host's compiler and linked to the libraries that cargo has built.

use super::{Lane, Process, certificates::Authority, library_dir, package_file};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
};

/// What liblosant.a needs from the system, as rustc tells with `--print native-static-libs`.
const SYSTEM_LIBRARIES: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

/// Leak reports of Rust's standard library that are none.
const SUPPRESSIONS: &str = "tests/c/support/valgrind.supp";

/// The same of programs that end with the library's thread running, and which those are.
const SUPPRESSIONS_RUNNING: &str = "tests/c/support/valgrind-running.supp";
const END_RUNNING: [&str; 2] = ["exiting", "unwakeable"];

/// Programs that fork. To a leak checker a child has lost all that its parent's other threads knew of.
const FORK: [&str; 2] = ["forking", "forking_inside"];

/// A running C program.
pub struct CProgram;

impl CProgram {
    /// Starts the program NAME.c, wherever below tests/c it is, with these arguments.
    pub fn start<A: AsRef<str>>(name: &str, lane: Lane, arguments: &[A]) -> Process {
        CProgram::with_environment(name, lane, arguments, &[])
    }

    /// The same with these variables set.
    pub fn with_environment<A: AsRef<str>>(
        name: &str,
        lane: Lane,
        arguments: &[A],
        variables: &[(&str, &Path)],
    ) -> Process {
        let program = compiled(name, lane == Lane::Static);
        let mut command = match lane {
            Lane::Shared | Lane::Static | Lane::Tls | Lane::Ws | Lane::Wss => Command::new(program),
            Lane::Valgrind | Lane::TlsUnderValgrind => {
                let mut command = Command::new("valgrind");
                command
                    .args(["-q", "--error-exitcode=9", "--leak-check=full", "--num-callers=30", "--fair-sched=try"])
                    .arg("--errors-for-leak-kinds=definite,indirect,possible")
                    .arg(format!("--suppressions={}", package_file(SUPPRESSIONS).display()));
                if FORK.contains(&name) {
                    command.arg("--leak-check=no");
                }
                if END_RUNNING.contains(&name) {
                    command.arg(format!("--suppressions={}", package_file(SUPPRESSIONS_RUNNING).display()));
                }
                command.arg(program);
                command
            }
        };
        // Cargo sets it, and another liblosant may lie about there.
        command.env_remove("LD_LIBRARY_PATH");
        command.env("LOSANT_TEST_TRANSPORT", lane.transport()).env("LOSANT_TEST_CA", ca_file());
        command.envs(variables.iter().copied());
        command.args(arguments.iter().map(AsRef::as_ref));
        Process::start(&format!("{name} ({lane:?})"), command)
    }
}

/// The root that the brokers' certificates come from.
fn ca_file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = run_dir().join("ca.pem");
        fs::write(&path, Authority::shared().root.pem()).expect("a certificate file can be written");
        path
    })
}

/// The path of the compiled program; compiled once.
fn compiled(name: &str, statically: bool) -> PathBuf {
    type Programs = HashMap<(String, bool), Arc<OnceLock<PathBuf>>>;
    static PROGRAMS: Mutex<Option<Programs>> = Mutex::new(None);
    let place = {
        let mut programs = PROGRAMS.lock().unwrap();
        programs.get_or_insert_with(HashMap::new).entry((name.to_owned(), statically)).or_default().clone()
    };
    place.get_or_init(|| compile(name, statically)).clone()
}

/// LOSANT_TEST_CFLAGS: for instance -fsanitize=address, for libraries that were built with it.
pub fn compiler_flags() -> String {
    std::env::var("LOSANT_TEST_CFLAGS").unwrap_or_default()
}

fn compile(name: &str, statically: bool) -> PathBuf {
    let program = run_dir().join(if statically { format!("{name}-static") } else { name.to_owned() });
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"])
        // What C leaves undefined is an illegal instruction, even without a sanitizer's library.
        .args(["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-I"])
        .arg(package_file("include"))
        .arg("-I")
        .arg(package_file("tests/c/support"))
        .arg(source(name))
        // Where a program has its own version of a system's function, the libraries call that.
        .arg("-rdynamic")
        .arg("-o")
        .arg(&program);
    gcc.args(compiler_flags().split_whitespace());
    if statically {
        gcc.arg("-Wl,--gc-sections").arg(run_dir().join("liblosant.a")).args(needed_by_the_static_library());
    } else {
        // As needed: a program that loads the library at run time is not linked to it.
        gcc.arg("-Wl,--as-needed").arg("-L").arg(run_dir()).args(["-llosant-shared", "-lpthread", "-ldl"]);
        gcc.arg(format!("-Wl,-rpath,{}", run_dir().display()));
    }
    let output = gcc.output().expect("gcc is installed");
    assert!(output.status.success(), "{gcc:?}\n{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// The source of a program. The folders below tests/c are for readers: a name belongs to one program.
fn source(name: &str) -> PathBuf {
    let file = format!("{name}.c");
    let folders = fs::read_dir(package_file("tests/c")).expect("tests/c is there");
    let found: Vec<PathBuf> =
        folders.flatten().map(|folder| folder.path().join(&file)).filter(|path| path.exists()).collect();
    assert!(found.len() == 1, "not one {file} below tests/c, but {found:?}");
    found.into_iter().next().unwrap_or_default()
}

/// The libraries' own needs, where they have any beyond the system's.
fn needed_by_the_static_library() -> Vec<&'static str> {
    let mut flags = Vec::new();
    if dynamic_section().contains("libssl.so") {
        flags.extend(["-lssl", "-lcrypto"]);
    }
    flags.extend(SYSTEM_LIBRARIES);
    flags
}

/// What readelf says of liblosant.so.
pub fn dynamic_section() -> String {
    let output = Command::new("readelf").arg("-dW").arg(shared_library()).output().expect("readelf is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The library as the programs find it at run time.
pub fn shared_library() -> PathBuf {
    run_dir().join(soname())
}

/// The name that programs record: what they ask for at run time.
pub fn soname() -> &'static str {
    concat!("liblosant.so.", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"))
}

/// Where this run keeps the libraries, under the names that installed ones have, and its programs. Links keep them
/// even if cargo builds anew meanwhile.
fn run_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_leftovers(base);
        let dir = base.join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the programs can be made");
        for (built, name) in [("liblosant.so", soname()), ("liblosant.a", "liblosant.a")] {
            let built = library_dir().join(built);
            let named = dir.join(name);
            // Another file system takes no links.
            let placed = fs::hard_link(&built, &named).or_else(|_| fs::copy(&built, &named).map(drop));
            placed.unwrap_or_else(|e| panic!("cannot place {}: {e}", built.display()));
        }
        // With liblosant.a in the same place, -llosant could mean either.
        std::os::unix::fs::symlink(soname(), dir.join("liblosant-shared.so")).expect("a link can be made");
        dir
    })
}

/// The directories of runs that are over.
fn remove_leftovers(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix("run-")) else { continue };
        if !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
