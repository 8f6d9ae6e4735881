//! Rust: one binary on a small Debian.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let binary = project.package().unwrap_or(name);
    let usual =
        format!("cargo build --release --locked --bin {binary} && install -D target/release/{binary} /out/{binary}");
    format!(
        r#"
[stage.{name}-build]
from = {builder}
workdir = "/src"
cache = [
  {{ id = "cargo-registry", path = "/usr/local/cargo/registry" }},
  {{ id = "cargo-target-{name}", path = "/src/target", share = "locked", per = ["platform"] }},
]

[[stage.{name}-build.step]]
copy = {dir}
except = ["target"]

# Crates are in a cache that may be empty, so this step must be able to fetch them.
[[stage.{name}-build.step]]
run = {build}
network = "default"

[image.{name}]
from = "debian:bookworm-slim"
user = "{NOBODY}"
entrypoint = [{installed}]
file = [{{ from = {output}, to = {installed} }}]
"#,
        installed = string(project.binary(format!("/usr/local/bin/{name}"))),
        builder = project.builder("rust", "1", "-bookworm"),
        dir = project.dir(),
        build = project.build(usual),
        output = string(format!("stage.{name}-build:/{}", project.output(&format!("out/{binary}")))),
    )
}
