//! Which platform of an image serves a wanted one best.
//!
//! Mirrors `platforms.Only` of containerd: the wanted platform first, then what its processor also runs, in falling
//! order (`arm/v7` → v6 → v5, `amd64/v3` → v2 → v1 → 386, `arm64` → 32-bit arm); and the Windows version rules.

use std::cmp::Ordering;

use crate::Platform;

/// The platforms that serve a wanted one, best first.
#[derive(Clone, Debug)]
pub struct Matcher(Vec<Platform>);

impl Matcher {
    /// What can run where `platform` is wanted.
    pub fn only(platform: &Platform) -> Self {
        Self(candidates(&platform.normalize()).iter().map(Platform::normalize).collect())
    }

    /// Exactly `platform`, in any spelling.
    pub fn strict(platform: &Platform) -> Self {
        Self(vec![platform.normalize()])
    }

    /// Whether `offered` serves.
    pub fn matches(&self, offered: &Platform) -> bool {
        self.rank(offered).is_some()
    }

    /// Position of the best of `offered`; the first of equals; `None` when none serves.
    pub fn best<'a>(&self, offered: impl IntoIterator<Item = &'a Platform>) -> Option<usize> {
        let served = offered.into_iter().enumerate().filter(|(_, platform)| self.matches(platform));
        served.min_by(|(_, left), (_, right)| self.compare(left, right)).map(|(index, _)| index)
    }

    /// Orders by how well a platform serves; what does not serve comes last.
    pub fn compare(&self, left: &Platform, right: &Platform) -> Ordering {
        match (self.rank(left), self.rank(right)) {
            (Some(a), Some(b)) => a.cmp(&b).then(right.os_features.len().cmp(&left.os_features.len())),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }

    fn rank(&self, offered: &Platform) -> Option<usize> {
        self.0.iter().position(|wanted| serves(wanted, offered))
    }
}

fn serves(wanted: &Platform, offered: &Platform) -> bool {
    let normal = offered.normalize();
    let windows = wanted.os == "windows";
    wanted.os == normal.os
        && wanted.architecture == normal.architecture
        && wanted.variant == normal.variant
        && (!windows || windows_version_serves(&wanted.os_version, &offered.os_version))
        && normal
            .os_features
            .iter()
            .all(|feature| windows && feature == "win32k" || wanted.os_features.contains(feature))
}

/// The wanted platform and what its processor also runs.
fn candidates(wanted: &Platform) -> Vec<Platform> {
    let with = |architecture: &str, variant: String| Platform {
        architecture: architecture.to_owned(),
        variant,
        ..wanted.clone()
    };
    let lower = |architecture, from: u32, to: u32| (to..from).rev().map(move |n| with(architecture, format!("v{n}")));
    let version = wanted.variant.trim_start_matches('v').parse::<u32>().ok();
    match wanted.architecture.as_str() {
        "amd64" => std::iter::once(wanted.clone())
            .chain(lower("amd64", version.unwrap_or(0), 1))
            .chain([with("386", String::new())])
            .collect(),
        "arm" => std::iter::once(wanted.clone()).chain(lower("arm", version.unwrap_or(0), 5)).collect(),
        "arm64" => {
            let variants = arm64_variants(&wanted.variant);
            if variants.is_empty() {
                return Vec::new();
            }
            let arm = lower("arm", 9, 5);
            variants.into_iter().map(|variant| with("arm64", variant)).chain(arm).collect()
        }
        _ => vec![wanted.clone()],
    }
}

/// Variants of arm64 that run on `variant`, best first: v9.x implies v8.(x+5). Unknown variants run nothing.
fn arm64_variants(variant: &str) -> Vec<String> {
    let name = |major: u32, minor: u32| if minor == 0 { format!("v{major}") } else { format!("v{major}.{minor}") };
    let minors = |major: u32, top: u32| (0..=top).rev().map(move |minor| name(major, minor));
    let variant = if variant.is_empty() { "v8" } else { variant };
    let (major, minor) = variant.split_once('.').unwrap_or((variant, "0"));
    match (major, minor.parse::<u32>().ok().filter(|_| minor.len() == 1)) {
        ("v8", Some(minor)) => minors(8, minor).collect(),
        ("v9", Some(minor @ 0..=7)) => minors(9, minor).chain(minors(8, (minor + 5).min(9))).collect(),
        _ => Vec::new(),
    }
}

/// First build of Windows that runs containers of earlier builds.
const LTSC_2022: u16 = 20348;
const LTSC_2025: u16 = 26100;

/// An empty version on either side serves; from Server 2022 on, a host runs what is not older than the LTSC before it.
fn windows_version_serves(host: &str, container: &str) -> bool {
    let (host, empty) = (windows_version(host), (0, 0, 0));
    if host == empty || container.is_empty() {
        return true;
    }
    let container = windows_version(container);
    if (host.0, host.1) != (container.0, container.1) {
        return false;
    }
    let oldest = match host.2 {
        build if build < LTSC_2022 => build,
        build if build > LTSC_2025 => LTSC_2025,
        _ => LTSC_2022,
    };
    (oldest..=host.2).contains(&container.2)
}

/// Major, minor, build; zeros when the text is no version.
fn windows_version(text: &str) -> (u8, u8, u16) {
    let mut parts = text.split('.');
    let mut parse = || {
        let (major, minor, build) = (parts.next()?, parts.next()?, parts.next()?);
        Some((major.parse().ok()?, minor.parse().ok()?, build.parse().ok()?))
    };
    parse().unwrap_or((0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text, &Platform::new("linux", "amd64")).unwrap()
    }

    /// The best of `offered`, `-` for none.
    fn check(wanted: &str, offered: &str, expected: &str) {
        let offers: Vec<_> = offered.split_whitespace().map(platform).collect();
        let best = Matcher::only(&platform(wanted)).best(&offers);
        assert_eq!(best.map_or("-".to_owned(), |i| offers[i].to_string()), expected, "{wanted} from {offered}");
    }

    #[test]
    fn best() {
        check("linux/amd64", "linux/arm64 linux/386 linux/amd64", "linux/amd64");
        check("linux/amd64", "linux/arm64 linux/386", "linux/386");
        check("linux/amd64", "linux/amd64/v2", "-");
        check("linux/amd64/v3", "linux/amd64 linux/amd64/v2", "linux/amd64/v2");
        check("linux/amd64/v3", "linux/386 linux/amd64", "linux/amd64");
        check("linux/386", "linux/amd64", "-");
        check("linux/arm", "linux/arm/v6 linux/arm/v8 linux/arm/v5", "linux/arm/v6");
        check("linux/arm/v8", "linux/arm/v6 linux/arm/v7", "linux/arm/v7");
        check("linux/arm64", "linux/arm linux/arm64/v8", "linux/arm64/v8");
        check("linux/arm64", "linux/arm/v6 linux/arm/v7", "linux/arm/v7");
        check("linux/arm64/v8.2", "linux/arm64 linux/arm64/v8.1 linux/arm64/v8.3", "linux/arm64/v8.1");
        check("linux/arm64/v9.1", "linux/arm64/v8.7 linux/arm64/v8.6", "linux/arm64/v8.6");
        check("linux/arm64/v77", "linux/arm64 linux/arm", "-");
        check("linux/riscv64", "linux/riscv64 linux/riscv64", "linux/riscv64");
        check("linux/amd64", "windows/amd64", "-");
    }

    #[test]
    fn features_must_be_wanted_and_more_are_better() {
        check(
            "windows(10.0.17763+a+b)/amd64",
            "windows/amd64 windows(+a)/amd64 windows(+c)/amd64",
            "windows(+a)/amd64",
        );
        check("windows/amd64", "windows(+win32k)/amd64", "windows(+win32k)/amd64");
        check("windows/amd64", "windows(+a)/amd64", "-");
    }

    #[test]
    fn windows_versions() {
        check(
            "windows(10.0.17763)/amd64",
            "windows(10.0.17764.1)/amd64 windows(10.0.17763.9)/amd64",
            "windows(10.0.17763.9)/amd64",
        );
        check("windows(10.0.26100)/amd64", "windows(10.0.20348)/amd64", "windows(10.0.20348)/amd64");
        check("windows(10.0.26101)/amd64", "windows(10.0.20348)/amd64", "-");
        check("windows(10.0.20348)/amd64", "windows(10.0.17763)/amd64", "-");
        check("windows(10.0.20348)/amd64", "windows(11.0.20348)/amd64", "-");
    }

    #[test]
    fn strict_has_no_stand_ins() {
        let strict = Matcher::strict(&platform("linux/amd64"));
        assert!(strict.matches(&platform("linux/x86_64")));
        assert!(!strict.matches(&platform("linux/386")));
    }
}
