//! Go: one static binary.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let binary = format!("/out/{name}");
    let package = project.package().unwrap_or(".");
    format!(
        r#"
[stage.{name}-build]
from = {builder}
platform = "build"
workdir = "/src"
cache = [{{ id = "go-build", path = "/root/.cache/go-build" }}]

[[stage.{name}-build.step]]
copy = {dir}
only = ["go.mod", "go.sum"]

[[stage.{name}-build.step]]
run = "go mod download"
network = "default"

[[stage.{name}-build.step]]
copy = {dir}

[[stage.{name}-build.step]]
run = {build}
env = {{ CGO_ENABLED = "0", GOOS = "${{target.os}}", GOARCH = "${{target.arch}}" }}

[image.{name}]
from = "scratch"
user = "{NOBODY}"
entrypoint = [{installed}]
file = [
  {{ from = "stage.{name}-build:/etc/ssl/certs/ca-certificates.crt", to = "/etc/ssl/certs/" }},
  {{ from = {output}, to = {installed} }},
]
"#,
        installed = string(project.binary(format!("/{name}"))),
        builder = project.builder("golang", "1", ""),
        dir = project.dir(),
        build = project.build(format!("go build -trimpath -ldflags='-s -w' -o {binary} {package}")),
        output = string(format!("stage.{name}-build:/{}", project.output(&binary[1..]))),
    )
}
