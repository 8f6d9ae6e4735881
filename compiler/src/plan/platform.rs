//! Platforms in a build: the arguments that are always there, and how step names show them.

use std::sync::{Arc, LazyLock};

use oci::{ImageConfig, Platform};

use super::environment::Environment;

/// Names of the arguments that `FROM` may always use: every build has them, so they are made once.
static PREDEFINED: LazyLock<[Arc<str>; 11]> = LazyLock::new(|| {
    [
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
    ]
    .map(Arc::from)
});

/// Whether an argument says what is built for, or on.
pub(crate) fn is_platform_argument(name: &str) -> bool {
    PREDEFINED.iter().any(|known| &**known == name)
}

/// The arguments that `FROM` may always use, and stages once they declare them. Build arguments replace them.
pub(super) fn predefined(build: &Platform, target: &Platform, stage: &str) -> [(&'static Arc<str>, Arc<str>); 11] {
    let none = Arc::from("");
    let text = |text: &str| if text.is_empty() { Arc::clone(&none) } else { text.into() };
    let parts = |platform: &Platform| {
        [&platform.os, &platform.os_version, &platform.architecture, &platform.variant].map(|part| text(part))
    };
    let build_parts = parts(build);
    let target_parts = if target == build { build_parts.clone() } else { parts(target) };
    let ([a, b, c, d], [e, f, g, h]) = (build_parts, target_parts);
    let stage = if stage.is_empty() { "default" } else { stage };
    let values = [text(&build.short()), a, b, c, d, text(&target.full()), e, f, g, h, text(stage)];
    let mut names = PREDEFINED.iter();
    values.map(|value| (names.next().expect("there is a name for each"), value))
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
