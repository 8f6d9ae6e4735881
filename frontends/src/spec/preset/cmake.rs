//! C and C++ with CMake: what `install` puts in place, on a small Debian.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let usual = "cmake -S . -B /build -D CMAKE_BUILD_TYPE=Release -D CMAKE_INSTALL_PREFIX=/usr/local \
                 && cmake --build /build --parallel && DESTDIR=/out cmake --install /build";
    let tools = match project.image.builder {
        Some(_) => "",
        None => "apt.install = [\"build-essential\", \"cmake\"]",
    };
    let binary = project.package().unwrap_or(name);
    format!(
        r#"
[stage.{name}-build]
from = {builder}
workdir = "/src"
{tools}

[[stage.{name}-build.step]]
copy = {dir}

[[stage.{name}-build.step]]
run = {build}

[image.{name}]
from = "debian:bookworm-slim"
user = "{NOBODY}"
entrypoint = ["/usr/local/bin/{binary}"]
file = [{{ from = {output}, to = "/" }}]
"#,
        builder = project.builder("debian", "bookworm", ""),
        dir = project.dir(),
        build = project.build(usual),
        output = string(format!("stage.{name}-build:/{}", project.output("out"))),
    )
}
