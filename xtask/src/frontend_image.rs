//! `cargo xtask frontend-image`: the image that `# syntax=` names, built by llbc and the executor themselves.
//!
//! `[--arch A,…] [--profile P] [OPTIONS OF llbc build]`. Without an output it is written to an OCI archive.

use e2e::frontend::{self, Arch};

use crate::shell::{self, Result, say, target_dir};

/// What is asked for.
struct Wanted {
    architectures: Vec<Arch>,
    profile: String,
    /// For `llbc build`.
    rest: Vec<String>,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = read(arguments)?;
    let mut programs = Vec::new();
    for arch in wanted.architectures {
        let compile = || Ok(frontend::compile(arch, &wanted.profile)?);
        let program = shell::timed(&format!("compile for {}", arch.name()), compile)?;
        let size = std::fs::metadata(&program)?.len();
        say(&format!("{} is {:.1} MB", program.display(), size as f64 / 1e6));
        programs.push((arch, program));
    }
    let directory = target_dir().join("frontend-image");
    std::fs::create_dir_all(&directory)?;
    let mut build = frontend::build(&programs, &directory)?;
    build.arg(".");
    if !wanted.rest.iter().any(|word| word == "-o" || word.starts_with("--output") || word == "--push") {
        build.arg("-o").arg(output(&directory.join("llbc.tar")));
    }
    shell::step("build the image", build.args(&wanted.rest))
}

fn output(file: &std::path::Path) -> String {
    format!("type=oci,rewrite-timestamp=true,dest={}", file.display())
}

fn read(arguments: &[String]) -> Result<Wanted> {
    let mut wanted = Wanted { architectures: vec![Arch::Amd64], profile: "frontend".to_owned(), rest: Vec::new() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--arch" => {
                let names = words.next().ok_or("--arch: expected amd64, arm64 or both")?;
                let parse =
                    |name: &str| Arch::parse(name).ok_or_else(|| format!("--arch {name}: there are amd64 and arm64"));
                wanted.architectures = names.split(',').map(parse).collect::<std::result::Result<_, _>>()?;
            }
            "--profile" => wanted.profile = words.next().ok_or("--profile: expected a name")?.clone(),
            _ => wanted.rest.push(word.clone()),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let wanted = read(&words("--arch amd64,arm64 -t llbc --profile dev")).unwrap();
        assert_eq!(wanted.architectures, [Arch::Amd64, Arch::Arm64]);
        assert_eq!((wanted.profile.as_str(), wanted.rest), ("dev", words("-t llbc")));
        assert!(read(&words("--arch m68k")).is_err());
    }
}
