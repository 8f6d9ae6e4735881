//! The examples as builds that run here: their images are named, and stood in for as those of the corpus are.

use super::Case;
use crate::process::Result;
use crate::{Sandbox, sandbox};

/// Examples with processes that need more than a shell, and what is built of each.
const EXAMPLES: [(&str, &str); 6] =
    [("cmake", "greet"), ("go", "greet"), ("java", "greet"), ("node", "greet"), ("python", "greet"), ("rust", "greet")];

/// Images that they are built on.
const IMAGES: [&str; 8] = [
    "debian:bookworm",
    "debian:bookworm-slim",
    "eclipse-temurin:17-jre",
    "golang:1",
    "maven:3-eclipse-temurin-17",
    "node:lts-slim",
    "python:3-slim",
    "rust:1-bookworm",
];

/// The examples, compiled in a sandbox that has the base.
///
/// **Errors**: one that cannot be compiled.
pub fn examples(sandbox: &Sandbox) -> Result<Vec<Case>> {
    EXAMPLES.into_iter().map(|(name, target)| example(sandbox, name, target)).collect()
}

fn example(sandbox: &Sandbox, name: &str, target: &str) -> Result<Case> {
    let folder = crate::workspace().join("examples").join(name);
    let llbc = |words: &[&str]| {
        let mut command = sandbox.llbc();
        let images = IMAGES.map(|image| format!("--build-context={image}=docker-image://{}", sandbox::BASE));
        command.args(words).arg(folder.join("build.toml")).arg("--context").arg(&folder);
        command.args(images).args(["--offline", "--target", target]);
        sandbox.succeed(&mut command).out()
    };
    let definition = sandbox.directory().join(format!("{name}.pb"));
    llbc(&["-O0", "-o", &definition.display().to_string()]);
    // The definition says what the config of its image is.
    Case::new(format!("examples/{name}"), definition, &llbc(&["dump", "--json"]))
}
