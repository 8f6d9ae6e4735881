//! The extension for Visual Studio Code: types, tests, and the package, by npm. No editor is downloaded.

use std::path::Path;
use std::process::Command;

use crate::shell::{Result, step};

/// Checks, tests and packages the extension.
pub(crate) fn check() -> Result<()> {
    let folder = e2e::workspace().join("editors/vscode");
    let npm = |arguments: &[&str]| {
        let mut command = Command::new("npm");
        command.args(arguments).arg("--silent").current_dir(&folder);
        command
    };
    if !is_installed(&folder) {
        step("packages of the extension", &mut npm(&["ci", "--no-audit", "--no-fund"]))?;
    }
    for (name, script) in [
        ("types of the extension", "check"),
        ("tests of the extension", "test"),
        ("package of the extension", "package"),
    ] {
        step(name, &mut npm(&["run", script]))?;
    }
    Ok(())
}

/// Whether what the lock file names was installed after it was last changed.
fn is_installed(folder: &Path) -> bool {
    let changed = |name: &str| std::fs::metadata(folder.join(name)).and_then(|file| file.modified()).ok();
    let installed = changed("node_modules/.package-lock.json");
    installed.is_some() && installed >= changed("package-lock.json")
}
