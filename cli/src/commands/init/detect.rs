//! What a project is, by the files that its own tools go by.

use std::path::Path;

use crate::args::ProjectKind;
use crate::failure::{Failure, Result};

/// A project as far as its files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) kind: ProjectKind,
    /// What its image is called.
    pub(super) name: String,
    /// What is built of it, as the preset's key has it.
    pub(super) package: Option<String>,
    /// Version of the language's tools.
    pub(super) version: Option<String>,
    /// The command that builds, where the usual one does not.
    pub(super) build: Option<String>,
    /// What the build makes, where that is not the usual.
    pub(super) output: Option<String>,
    /// The image to build in, instead of the usual one.
    pub(super) builder: Option<String>,
    /// The image to run in, instead of the usual one.
    pub(super) base: Option<String>,
    /// What it was told by, for people.
    pub(super) found: String,
}

/// The files that tell a kind, most telling first: a project in another language often has a `package.json`, too.
const TELLING: &[(&str, ProjectKind)] = &[
    ("go.mod", ProjectKind::Go),
    ("Cargo.toml", ProjectKind::Rust),
    ("pom.xml", ProjectKind::Java),
    ("build.gradle.kts", ProjectKind::Java),
    ("build.gradle", ProjectKind::Java),
    ("pyproject.toml", ProjectKind::Python),
    ("requirements.txt", ProjectKind::Python),
    ("CMakeLists.txt", ProjectKind::Cmake),
    ("package.json", ProjectKind::Node),
    ("index.html", ProjectKind::Static),
];

/// Looks at the files of a directory; `kind` says what it is when they say several things.
///
/// **Errors**: a directory in which nothing tells what it is.
pub(super) fn project(directory: &Path, kind: Option<ProjectKind>) -> Result<Project> {
    let is_file = |name: &str| directory.join(name).is_file();
    let told = TELLING.iter().find(|(name, told)| is_file(name) && kind.is_none_or(|kind| kind == *told));
    let Some((file, kind)) = told.copied().or(kind.map(|kind| ("", kind))) else {
        let known: Vec<&str> = TELLING.iter().map(|(name, _)| *name).collect();
        return Err(Failure::message(
            "init",
            format!("nothing in {} tells what it is", directory.display()),
            format!("looked for {}; say it: --kind go", known.join(", ")),
        ));
    };
    let absolute = std::fs::canonicalize(directory).map_err(Failure::io("read", directory))?;
    let name = absolute.file_name().map_or_else(|| "app".to_owned(), |name| image_name(&name.to_string_lossy()));
    let found = if file.is_empty() { "as --kind says".to_owned() } else { format!("because of {file}") };
    let mut project = Project {
        kind,
        name,
        package: None,
        version: None,
        build: None,
        output: None,
        builder: None,
        base: None,
        found,
    };
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    match kind {
        ProjectKind::Go => go(&mut project, directory, &text("go.mod")),
        ProjectKind::Rust => rust(&mut project, &text("Cargo.toml")),
        ProjectKind::Node => node(&mut project, &text("package.json")),
        ProjectKind::Python => python(&mut project, directory, &text("pyproject.toml")),
        ProjectKind::Java => java(&mut project, directory, &text("pom.xml")),
        ProjectKind::Cmake => cmake(&mut project, &text("CMakeLists.txt")),
        ProjectKind::Static => {}
    }
    Ok(project)
}

/// A name that images, stages and files can have.
pub(super) fn image_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.rsplit('/').next().unwrap_or_default().chars().map(fits).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name.to_owned() } else { format!("app{name}") }
}

fn go(project: &mut Project, directory: &Path, text: &str) {
    let line = |key: &str| text.lines().find_map(|line| Some(line.trim().strip_prefix(key)?.trim().to_owned()));
    if let Some(module) = line("module ") {
        project.name = image_name(&module);
    }
    // The image of a toolchain has a tag for a minor version, and not always for a patch.
    project.version = line("go ").map(|version| version.split('.').take(2).collect::<Vec<_>>().join("."));
    if has_main(directory) {
        return;
    }
    let Ok(commands) = std::fs::read_dir(directory.join("cmd")) else { return };
    let mut commands: Vec<String> = commands
        .filter_map(|entry| entry.ok())
        .filter(|entry| has_main(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    commands.sort();
    if let Some(command) = commands.iter().find(|command| **command == project.name).or(commands.first()) {
        project.package = Some(format!("./cmd/{command}"));
    }
}

/// Whether a directory has a program of Go.
fn has_main(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    let is_main = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "go")
            && std::fs::read_to_string(path).is_ok_and(|text| {
                text.lines().any(|line| line.split("//").next().unwrap_or_default().trim() == "package main")
            })
    };
    entries.filter_map(|entry| entry.ok()).any(|entry| is_main(&entry.path()))
}

fn rust(project: &mut Project, text: &str) {
    let manifest = text.parse::<toml::Table>().unwrap_or_default();
    let name = |value: Option<&toml::Value>| Some(value?.get("name")?.as_str()?.to_owned());
    let binary = manifest.get("bin").and_then(|bins| name(bins.get(0)));
    let package = name(manifest.get("package"));
    if let Some(binary) = binary.or(package) {
        project.name = image_name(&binary);
        project.package = (binary != project.name).then_some(binary);
    }
    let version = manifest.get("package").and_then(|package| package.get("rust-version")?.as_str().map(str::to_owned));
    project.version = version.map(|version| version.split('.').take(2).collect::<Vec<_>>().join("."));
}

fn node(project: &mut Project, text: &str) {
    let manifest: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(name) = manifest["name"].as_str() {
        project.name = image_name(name);
    }
    project.package = manifest["main"].as_str().map(str::to_owned);
    let start = manifest["scripts"]["start"].as_str().and_then(|start| start.strip_prefix("node "));
    if let Some(file) = start.filter(|file| !file.trim().contains(' ')) {
        project.package = Some(file.trim().to_owned());
    }
    let digits =
        |text: &str| text.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.').next().map(str::to_owned);
    let wanted = manifest["engines"]["node"].as_str().and_then(digits);
    project.version = wanted.filter(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()));
}

fn python(project: &mut Project, directory: &Path, text: &str) {
    let manifest = text.parse::<toml::Table>().unwrap_or_default();
    let name = manifest.get("project").and_then(|project| project.get("name")?.as_str().map(str::to_owned));
    let module = name.as_ref().map(|name| name.replace('-', "_"));
    if let Some(name) = &name {
        project.name = image_name(name);
    }
    let is_package = |module: &String| {
        ["", "src"].iter().any(|folder| directory.join(folder).join(module).join("__main__.py").is_file())
    };
    let script = ["main", "app", "server"].into_iter().find(|name| directory.join(format!("{name}.py")).is_file());
    project.package = module.filter(is_package).or(script.map(str::to_owned));
}

fn java(project: &mut Project, directory: &Path, text: &str) {
    let release = ["maven.compiler.release", "maven.compiler.target", "java.version"];
    let value = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once('<')?.0.trim().to_owned())
    };
    project.version =
        release.iter().find_map(|tag| value(tag)).filter(|version| version.bytes().all(|b| b.is_ascii_digit()));
    if text.is_empty() {
        let gradle = if directory.join("gradlew").is_file() { "./gradlew" } else { "gradle" };
        let jars = "find build/libs -name '*.jar' ! -name '*-plain.jar' -exec install -D {} /out/app.jar \\;";
        project.build = Some(format!("{gradle} --no-daemon assemble && {jars}"));
        project.builder = Some("gradle:jdk21".to_owned());
    }
}

fn cmake(project: &mut Project, text: &str) {
    let first = |call: &str| {
        let rest = text.split_once(call)?.1;
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
        (!name.is_empty()).then_some(name)
    };
    if let Some(program) = first("add_executable(") {
        project.name = image_name(&program);
        project.package = (program != project.name).then_some(program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(files: &[(&str, &str)]) -> Project {
        let folder = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        project(folder.path(), None).expect("something tells")
    }

    #[test]
    fn projects_of_go() {
        let found = detect(&[
            ("go.mod", "module example.test/acme/shop\n\ngo 1.22.3\n"),
            ("cmd/shop/main.go", "package main // the shop\n"),
            ("cmd/admin/main.go", "package main\n"),
            ("lib.go", "package lib\n"),
        ]);
        let package = found.package.as_deref();
        assert_eq!(
            (found.name.as_str(), package, found.version.as_deref()),
            ("shop", Some("./cmd/shop"), Some("1.22"))
        );
        assert_eq!(detect(&[("go.mod", "module x\n"), ("main.go", "package main\n")]).package, None);
    }

    #[test]
    fn projects_of_other_languages() {
        let found = detect(&[("Cargo.toml", "[package]\nname = \"my_tool\"\n[[bin]]\nname = \"tool_bin\"\n")]);
        assert_eq!((found.name.as_str(), found.package.as_deref()), ("tool-bin", Some("tool_bin")));
        let found = detect(&[(
            "package.json",
            r#"{"name":"@acme/web","scripts":{"start":"node server.js"},"engines":{"node":">=20"}}"#,
        )]);
        let package = found.package.as_deref();
        assert_eq!((found.name.as_str(), package, found.version.as_deref()), ("web", Some("server.js"), Some("20")));
        let found = detect(&[("pyproject.toml", "[project]\nname = \"my-app\"\n"), ("src/my_app/__main__.py", "")]);
        assert_eq!((found.kind, found.package.as_deref()), (ProjectKind::Python, Some("my_app")));
        let found = detect(&[(
            "pom.xml",
            "<project><properties><maven.compiler.release>17</maven.compiler.release></properties></project>",
        )]);
        assert_eq!((found.kind, found.version.as_deref()), (ProjectKind::Java, Some("17")));
        let found =
            detect(&[("CMakeLists.txt", "project(x)\nadd_executable( hello main.c)\n"), ("package.json", "{}")]);
        assert_eq!((found.kind, found.name.as_str()), (ProjectKind::Cmake, "hello"));
        assert_eq!(detect(&[("index.html", "")]).kind, ProjectKind::Static);
    }

    #[test]
    fn names_of_images() {
        assert_eq!(image_name("github.com/acme/My_Shop"), "my-shop");
        assert_eq!(image_name("2048"), "app2048");
    }
}
