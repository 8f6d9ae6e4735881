//! Java: one archive on a runtime.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let version = project.image.toolchain.as_ref().map_or("21", |version| version.0.value.as_str());
    let builder = match &project.image.builder {
        Some(builder) => string(&builder.value),
        None => string(format!("maven:3-eclipse-temurin-{version}")),
    };
    let usual = "mvn --batch-mode --define skipTests package && install -D target/*.jar /out/app.jar";
    format!(
        r#"
[stage.{name}-build]
from = {builder}
platform = "build"
workdir = "/src"
cache = [{{ id = "maven", path = "/root/.m2" }}]

[[stage.{name}-build.step]]
copy = {dir}
except = ["target"]

# Artifacts are in a cache that may be empty, so this step must be able to fetch them.
[[stage.{name}-build.step]]
run = {build}
network = "default"

[image.{name}]
from = "eclipse-temurin:{version}-jre"
user = "{NOBODY}"
entrypoint = ["java", "-jar", "/app.jar"]
file = [{{ from = {output}, to = "/app.jar" }}]
"#,
        dir = project.dir(),
        build = project.build(usual),
        output = string(format!("stage.{name}-build:/{}", project.output("out/app.jar"))),
    )
}
