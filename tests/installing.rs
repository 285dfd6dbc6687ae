//! The library as it is installed, and every way to link it that docs/installing.md names.

use crate::support::{
    c_program::soname,
    library_dir, package_file,
    pages::{Block, Page},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A prefix with the library in it, and a folder of somebody who uses it.
struct Installed {
    dir: TempDir,
}

impl Installed {
    /// Installs what cargo has built for the tests, where the build by CMake would have put it.
    fn new() -> Installed {
        let installed = Installed { dir: TempDir::new().unwrap() };
        let built = installed.path("cargo/release");
        fs::create_dir_all(&built).unwrap();
        for name in ["liblosant.so", "liblosant.a"] {
            let (from, to) = (library_dir().join(name), built.join(name));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        }
        let mut configure = installed.cmake(&package_file(""), &installed.path("build"));
        configure.arg(format!("-DLOSANT_CARGO_TARGET_DIR={}", installed.path("cargo").display()));
        succeed(configure.args([format!("-DCMAKE_INSTALL_PREFIX={}", installed.prefix().display())]));
        succeed(Command::new("cmake").arg("--install").arg(installed.path("build")));
        let app = Page::read("README.md").blocks("c").remove(0).text;
        fs::create_dir(installed.path("app")).unwrap();
        fs::write(installed.path("app/app.c"), app).unwrap();
        installed
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn prefix(&self) -> PathBuf {
        self.path("prefix")
    }

    fn cmake(&self, source: &Path, build: &Path) -> Command {
        let mut command = Command::new("cmake");
        command.arg("-S").arg(source).arg("-B").arg(build);
        command
    }

    /// The libraries that the program asks the system for.
    fn needs(&self, program: &str) -> String {
        let output = Command::new("readelf").arg("-d").arg(self.path(program)).output().expect("readelf is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("the command is installed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
}

/// The commands as they stand there, for a library that is not in the system's folders.
fn link_by_command(installed: &Installed, block: &Block) {
    let library_dir = installed.prefix().join("lib");
    for line in block.text.lines() {
        let line = line.replace("/usr/local", &installed.prefix().display().to_string());
        let mut shell = Command::new("sh");
        shell.current_dir(installed.path("app")).args(["-c", &line]);
        shell.env("C_INCLUDE_PATH", installed.prefix().join("include")).env("LIBRARY_PATH", &library_dir);
        succeed(shell.env("PKG_CONFIG_PATH", library_dir.join("pkgconfig")));
        assert_eq!(installed.needs("app/app").contains(soname()), !line.contains("liblosant.a"), "{line}");
    }
}

fn link_by_cmake(installed: &Installed, block: &Block) {
    let project = "cmake_minimum_required(VERSION 3.16)\nproject(app LANGUAGES C)\nadd_executable(app app.c)\n";
    fs::write(installed.path("app/CMakeLists.txt"), format!("{project}{}", block.text)).unwrap();
    for statically in [false, true] {
        let build = installed.path(if statically { "app/static" } else { "app/shared" });
        let mut configure = installed.cmake(&installed.path("app"), &build);
        configure.arg(format!("-DLosant_ROOT={}", installed.prefix().display()));
        succeed(configure.arg(format!("-DLOSANT_USE_STATIC_LIBS={}", if statically { "ON" } else { "OFF" })));
        succeed(Command::new("cmake").arg("--build").arg(&build));
        let program = build.join("app");
        assert_eq!(installed.needs(&program.display().to_string()).contains(soname()), !statically);
    }
}

#[test]
fn an_installed_library_is_found_in_every_way() {
    let page = Page::read("docs/installing.md");
    let installed = Installed::new();
    let (commands, cmake) = (page.blocks("sh"), page.blocks("cmake"));
    assert!(!commands.is_empty() && !cmake.is_empty());
    commands.iter().for_each(|block| link_by_command(&installed, block));
    cmake.iter().for_each(|block| link_by_cmake(&installed, block));
}
