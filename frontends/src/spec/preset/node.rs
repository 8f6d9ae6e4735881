//! Node: dependencies, an optional build, and the modules that are needed at run time.

use super::{Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let main = project.package().unwrap_or("index.js");
    format!(
        r#"
[stage.{name}-build]
from = {builder}
workdir = "/app"

[[stage.{name}-build.step]]
copy = {dir}
only = ["package.json", "package-lock.json"]

[[stage.{name}-build.step]]
run = "npm ci --no-audit --no-fund"
network = "default"
cache = [{{ id = "npm", path = "/root/.npm" }}]

[[stage.{name}-build.step]]
copy = {dir}
except = ["node_modules"]

[[stage.{name}-build.step]]
run = {build}

[[stage.{name}-build.step]]
run = "npm prune --omit=dev --no-audit --no-fund"

[image.{name}]
from = {builder}
workdir = "/app"
env = {{ NODE_ENV = "production" }}
user = "node"
cmd = ["node", {main}]
file = [{{ from = {output}, to = "/app/" }}]
"#,
        builder = project.builder("node", "lts", "-slim"),
        dir = project.dir(),
        build = project.build("npm run --if-present build"),
        main = string(main),
        output = string(format!("stage.{name}-build:/{}", project.output("app"))),
    )
}
