//! Files for a web server: a directory of the project, or what a build makes of it.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let built = project.image.build.as_ref().map(|build| build_stage(project, &build.value));
    let from = match (&built, &project.image.output) {
        (Some(_), _) => string(format!("stage.{name}-build:/site/{}", project.output("dist"))),
        (None, None) => project.dir(),
        (None, Some(output)) => string(project.part(output.value.trim_matches('/'))),
    };
    format!(
        r#"{built}
[image.{name}]
from = "busybox:stable"
user = "{NOBODY}"
expose = ["8080/tcp"]
cmd = ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"]
file = [{{ from = {from}, to = "/www/" }}]
"#,
        built = built.unwrap_or_default(),
    )
}

fn build_stage(project: &Project<'_>, build: &str) -> String {
    let name = project.name;
    format!(
        r#"
[stage.{name}-build]
from = {builder}
platform = "build"
workdir = "/site"

[[stage.{name}-build.step]]
copy = {dir}
only = ["package.json", "package-lock.json"]

[[stage.{name}-build.step]]
run = "if [ -f package-lock.json ]; then npm ci --no-audit --no-fund; fi"
network = "default"
cache = [{{ id = "npm", path = "/root/.npm" }}]

[[stage.{name}-build.step]]
copy = {dir}
except = ["node_modules"]

[[stage.{name}-build.step]]
run = {build}
"#,
        builder = project.builder("node", "lts", "-slim"),
        dir = project.dir(),
        build = string(build),
    )
}
