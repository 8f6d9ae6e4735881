//! Node: an optional build, and the modules that are needed at run time, which no change of a source file touches.

use super::{Project, string};

/// Starting npm takes longer than most changes: not where there is nothing that is called so.
const BUILD: &str = "if grep -q '\"build\"' package.json; then npm run --if-present build; fi";

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let main = project.package().unwrap_or("index.js");
    format!(
        r#"
[stage.{name}-modules]
from = {builder}
workdir = "/app"

[[stage.{name}-modules.step]]
copy = {dir}
only = ["package.json", "package-lock.json"]

# Without dependencies there is no such directory.
[[stage.{name}-modules.step]]
run = "npm ci --omit=dev --no-audit --no-fund && mkdir -p node_modules"
network = "default"
cache = [{{ id = "npm", path = "/root/.npm" }}]

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

[image.{name}]
from = {builder}
workdir = "/app"
env = {{ NODE_ENV = "production" }}
user = "node"
cmd = ["node", {main}]
file = [{{ from = "stage.{name}-modules:/app/node_modules", to = "/app/node_modules" }}]

[[image.{name}.step]]
copy = {output}
except = ["node_modules"]
to = "/app/"
"#,
        builder = project.builder("node", "lts", "-slim"),
        dir = project.dir(),
        build = project.build(BUILD),
        main = string(main),
        output = string(format!("stage.{name}-build:/{}", project.output("app"))),
    )
}
