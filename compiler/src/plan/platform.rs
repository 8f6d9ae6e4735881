//! Platforms in a build: the arguments that are always there, and how step names show them.

use std::cell::OnceCell;
use std::sync::Arc;

use oci::{ImageConfig, Platform};

use super::environment::Environment;

/// Names of the arguments that `FROM` may always use.
pub(super) const PREDEFINED: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// Whether an argument says what is built for, or on.
pub(crate) fn is_platform_argument(name: &str) -> bool {
    PREDEFINED.contains(&name)
}

/// The arguments that `FROM` may always use, and stages once they declare them.
pub(super) struct Predefined<'a> {
    /// What the build runs on.
    build: &'a Platform,
    /// What it is for.
    target: &'a Platform,
    /// The stage that is built.
    stage: &'a str,
    /// The names of both platforms, once somebody asked: in few texts one does.
    written: [OnceCell<String>; 2],
}

impl<'a> Predefined<'a> {
    /// Those of a build on a platform, for a platform, of a stage, which may have no name.
    pub(super) fn new(build: &'a Platform, target: &'a Platform, stage: &'a str) -> Self {
        let stage = if stage.is_empty() { "default" } else { stage };
        Self { build, target, stage, written: Default::default() }
    }

    /// The value of one of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "BUILDPLATFORM" => self.written[0].get_or_init(|| self.build.short()),
            "BUILDOS" => &self.build.os,
            "BUILDOSVERSION" => &self.build.os_version,
            "BUILDARCH" => &self.build.architecture,
            "BUILDVARIANT" => &self.build.variant,
            "TARGETPLATFORM" => self.written[1].get_or_init(|| self.target.full()),
            "TARGETOS" => &self.target.os,
            "TARGETOSVERSION" => &self.target.os_version,
            "TARGETARCH" => &self.target.architecture,
            "TARGETVARIANT" => &self.target.variant,
            "TARGETSTAGE" => self.stage,
            _ => return None,
        })
    }
}

/// The platform an image brings along when nobody asked for one.
pub(super) fn of_image(image: &ImageConfig, target: Arc<Platform>, supported: &[Platform]) -> Arc<Platform> {
    let fits =
        |platform: &&Platform| platform.os == image.platform.os && platform.architecture == image.platform.architecture;
    if fits(&&*target) {
        return target;
    }
    supported.iter().find(fits).cloned().map_or(target, Arc::new)
}

/// The platform as step names show it, with the one that is compiled for where the step knows another: `linux/amd64->arm64`.
pub(super) fn shown(platform: &Platform, env: Option<&Environment>) -> String {
    let cross = env.and_then(declared_target).map(|target| cross_suffix(platform, target)).unwrap_or_default();
    format!("{platform}{cross}")
}

fn cross_suffix(base: &Platform, mut target: Platform) -> String {
    if target.os.is_empty() {
        target.os.clone_from(&base.os);
    }
    if target.architecture.is_empty() {
        target.architecture.clone_from(&base.architecture);
    }
    let target = target.normalize();
    if target.os != base.os {
        return format!("->{target}");
    }
    match (target.architecture != base.architecture, target.variant.as_str()) {
        (false, _) => String::new(),
        (true, "") => format!("->{}", target.architecture),
        (true, variant) => format!("->{}/{variant}", target.architecture),
    }
}

/// What the variables of a step say it compiles for. parity: `TARGETPLATFORM` counts if it can be parsed, even after
/// the parts; parts add up.
fn declared_target(env: &Environment) -> Option<Platform> {
    let mut platform = None::<Platform>;
    for (name, value) in env.iter() {
        let Some(value) = value.as_deref() else { continue };
        match &**name {
            "TARGETPLATFORM" => {
                if let Ok(whole) = Platform::parse(value, &Platform::new("linux", "amd64")) {
                    return Some(whole);
                }
            }
            "TARGETOS" => platform.get_or_insert_default().os = value.to_owned(),
            "TARGETARCH" => platform.get_or_insert_default().architecture = value.to_owned(),
            "TARGETVARIANT" => platform.get_or_insert_default().variant = value.to_owned(),
            _ => {}
        }
    }
    platform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, variables: &[(&str, &str)], expected: &str) {
        let base = Platform::parse(base, &Platform::new("linux", "amd64")).unwrap();
        let mut env = Environment::default();
        for (key, value) in variables {
            env.set((*key).into(), Some((*value).into()));
        }
        assert_eq!(shown(&base, Some(&env)), expected);
    }

    #[test]
    fn cross_compilation_shows() {
        check("linux/amd64", &[], "linux/amd64");
        check("linux/amd64", &[("TARGETARCH", "amd64")], "linux/amd64");
        check("linux/amd64", &[("TARGETARCH", "arm64")], "linux/amd64->arm64");
        check("linux/amd64", &[("TARGETPLATFORM", "linux/arm/v7")], "linux/amd64->arm/v7");
        check("linux/amd64", &[("TARGETOS", "windows")], "linux/amd64->windows/amd64");
        check("linux/amd64", &[("TARGETPLATFORM", "?"), ("TARGETARCH", "arm64")], "linux/amd64->arm64");
    }
}
