//! Platforms: operating system, architecture, variant; their specifiers and which of them can stand in for which.
//!
//! Mirrors `containerd/platforms` v1 (Parse, FormatAll, Normalize, Only), whose texts reach the user through BuildKit.
//! The host is never read here: who parses a single word such as `arm64` passes in what completes it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{clean_path, quote};

/// A platform as images and LLB name it. Serialised in the field order of OCI descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Architecture: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Operating system: `linux`.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system; empty when not said.
    #[serde(default, rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Features of the operating system.
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant: `v7`; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Why a text is no platform specifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformError(String);

const OS_PATTERN: &str = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$";
const COMPONENT_PATTERN: &str = "^[A-Za-z0-9_.-]+$";

const KNOWN_OS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const KNOWN_ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

impl Platform {
    /// A platform without variant, version and features.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_owned(), architecture: architecture.to_owned(), ..Self::default() }
    }

    /// Parses `os[(version+feature…)]/architecture[/variant]`, or one of the two words, which `host` completes.
    pub fn parse(specifier: &str, host: &Self) -> Result<Self, PlatformError> {
        if specifier.contains('*') {
            return Err(invalid(format!("{}: wildcards not yet supported", quote(specifier))));
        }
        let parts: Vec<&str> = specifier.splitn(4, '/').collect();
        let os = parse_os(parts[0], specifier)?;
        for part in &parts[1..] {
            check_component(part, specifier)?;
        }
        match parts[..] {
            [word] => complete(os, word, specifier, host),
            [_, architecture] => Ok(without_arm_v7(os.with_architecture(architecture, ""))),
            [_, architecture, variant] => {
                let mut platform = os.with_architecture(architecture, variant);
                if platform.architecture == "arm64" && platform.variant.is_empty() {
                    platform.variant = "v8".to_owned();
                }
                Ok(platform)
            }
            _ => Err(invalid(format!("{}: cannot parse platform specifier", quote(specifier)))),
        }
    }

    /// The canonical form: lower case, `aarch64` → `arm64`, `x86_64` → `amd64`, `arm` → `arm/v7`, `arm64/v8` → `arm64`.
    #[must_use]
    pub fn normalize(&self) -> Self {
        if self.is_normal() {
            return self.clone();
        }
        let mut platform = Self {
            os: normalize_os(&self.os),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            ..Self::default()
        }
        .with_architecture(&self.architecture, &self.variant);
        platform.os_features.sort();
        platform.os_features.dedup();
        platform
    }

    /// Whether it is its own canonical form at first sight, as most are.
    pub fn is_normal(&self) -> bool {
        matches!((&*self.os, &*self.architecture, &*self.variant), ("linux", "amd64" | "arm64", ""))
            && self.os_features.is_empty()
    }

    /// With version and features of the operating system: `windows(10.0.17763)/amd64`.
    pub fn full(&self) -> String {
        let features = format_features(&self.os_features);
        if self.os_version.is_empty() && features.is_empty() {
            return self.short();
        }
        let separator = if features.is_empty() { "" } else { "+" };
        self.join(&format!("{}({}{separator}{features})", self.os, encode_option(&self.os_version)))
    }

    /// `os/architecture/variant` without version and features; `unknown` without an operating system.
    pub fn short(&self) -> String {
        self.join(&self.os)
    }

    fn with_architecture(mut self, architecture: &str, variant: &str) -> Self {
        (self.architecture, self.variant) = normalize_architecture(architecture, variant);
        self
    }

    fn join(&self, os: &str) -> String {
        if self.os.is_empty() {
            return "unknown".to_owned();
        }
        let parts = [os, &self.architecture, &self.variant];
        let mut path = String::with_capacity(parts.map(str::len).iter().sum::<usize>() + parts.len());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
        }
        let is_name = |part: &str| !part.bytes().any(|byte| matches!(byte, b'/' | b'.'));
        // Names alone make a clean path.
        if parts.into_iter().all(is_name) { path } else { clean_path(&path) }
    }
}

/// See [`Platform::full`].
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlatformError {}

fn invalid(message: String) -> PlatformError {
    PlatformError(message + ": invalid argument")
}

fn parse_os(text: &str, specifier: &str) -> Result<Platform, PlatformError> {
    let Some((name, version, features)) = split_os(text) else {
        return Err(invalid(format!(
            "{} is an invalid OS component of {}: OSAndVersion specifier component must match {}",
            quote(text),
            quote(specifier),
            quote(OS_PATTERN)
        )));
    };
    let os_version = decode_option(version).map_err(|error| {
        PlatformError(format!("{} has an invalid OS version {}: {error}", quote(specifier), quote(version)))
    })?;
    let os_features = features.map(parse_feature).filter(|feature| feature.as_ref().map_or(true, |f| !f.is_empty()));
    let os_features = os_features
        .collect::<Result<_, _>>()
        .map_err(|error| PlatformError(format!("{} has invalid OS features: {error}", quote(specifier))))?;
    Ok(Platform { os: normalize_os(name), os_version, os_features, ..Platform::default() })
}

fn parse_feature(raw: &str) -> Result<String, String> {
    decode_option(raw).map_err(|error| format!("invalid os feature {}: {error}", quote(raw)))
}

/// Name, version and features of `name[(version+feature…)]`.
fn split_os(text: &str) -> Option<(&str, &str, impl Iterator<Item = &str>)> {
    let (name, options) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
        None => (text, ""),
    };
    let (version, features) = options.split_once('+').map_or((options, None), |(version, rest)| (version, Some(rest)));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let is_option = |text: &str| text.bytes().all(|b| is_name(b) || matches!(b, b'.' | b'%'));
    let features_valid =
        features.is_none_or(|features| features.split('+').all(|feature| !feature.is_empty() && is_option(feature)));
    let valid = !name.is_empty() && name.bytes().all(is_name) && is_option(version) && features_valid;
    valid.then(|| (name, version, features.into_iter().flat_map(|features| features.split('+'))))
}

fn check_component(part: &str, specifier: &str) -> Result<(), PlatformError> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !part.is_empty() && part.bytes().all(valid) {
        return Ok(());
    }
    Err(invalid(format!(
        "{} is an invalid component of {}: platform specifier component must match {}",
        quote(part),
        quote(specifier),
        quote(COMPONENT_PATTERN)
    )))
}

/// One word: an operating system, else an architecture, else nothing.
fn complete(os: Platform, word: &str, specifier: &str, host: &Platform) -> Result<Platform, PlatformError> {
    if KNOWN_OS.contains(&os.os.as_str()) {
        let variant =
            if host.architecture == "arm" && host.variant != "v7" { host.variant.clone() } else { String::new() };
        return Ok(Platform { architecture: host.architecture.clone(), variant, ..os });
    }
    let platform = without_arm_v7(os.with_architecture(word, ""));
    if KNOWN_ARCHITECTURES.contains(&platform.architecture.as_str()) {
        return Ok(Platform { os: host.os.clone(), ..platform });
    }
    Err(invalid(format!("{}: unknown operating system or architecture", quote(specifier))))
}

/// A specifier's `arm` means v7 without saying so.
fn without_arm_v7(mut platform: Platform) -> Platform {
    if platform.architecture == "arm" && platform.variant == "v7" {
        platform.variant.clear();
    }
    platform
}

/// parity: an empty operating system is the one BuildKit runs on.
fn normalize_os(os: &str) -> String {
    match &*lower(os) {
        "" => "linux".to_owned(),
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    }
}

/// In lower case, as most are.
fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { text.into() } else { text.to_lowercase().into() }
}

fn normalize_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (lower(architecture), lower(variant));
    let (architecture, variant) = match (&*architecture, &*variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

fn format_features(features: &[String]) -> String {
    let mut features: Vec<&str> = features.iter().map(String::as_str).filter(|feature| !feature.is_empty()).collect();
    features.sort_unstable();
    features.dedup();
    features.into_iter().map(encode_option).collect::<Vec<_>>().join("+")
}

/// Hides the characters that mean something in a specifier.
fn encode_option(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '%' => out.push_str("%25"),
            '+' => out.push_str("%2B"),
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '/' => out.push_str("%2F"),
            _ => out.push(c),
        }
        out
    })
}

fn decode_option(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = byte.filter(|_| !after.starts_with('+')) else {
            let shown: String = after.chars().take(2).collect();
            return Err(format!("invalid URL escape {}", quote(&format!("%{shown}"))));
        };
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(byte);
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(specifier: &str, expected: &str) {
        let actual = match Platform::parse(specifier, &Platform::new("linux", "amd64")) {
            Ok(platform) => platform.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{specifier}");
    }

    #[test]
    fn parse() {
        check("linux/amd64", "linux/amd64");
        check("linux", "linux/amd64");
        check("arm64", "linux/arm64");
        check("ARM64", "linux/arm64");
        check("aarch64", "linux/arm64");
        check("armhf", "linux/arm");
        check("armel", "linux/arm/v6");
        check("i386", "linux/386");
        check("x86_64", "linux/amd64");
        check("macos", "darwin/amd64");
        check("linux/arm", "linux/arm");
        check("linux/arm/v7", "linux/arm/v7");
        check("linux/arm/6", "linux/arm/v6");
        check("linux/arm64/v8", "linux/arm64/v8");
        check("linux/arm64/v9.0", "linux/arm64/v9");
        check("linux/amd64/v1", "linux/amd64");
        check("linux/amd64/v3", "linux/amd64/v3");
        check("linux/nosuch", "linux/nosuch");
        check("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
        check("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64");
        check("windows(+b+a+b)/amd64", "windows(+a+b)/amd64");
        check("windows(1%2B2)/amd64", "windows(1%2B2)/amd64");
    }

    #[test]
    fn errors() {
        check("nosuch", r#""nosuch": unknown operating system or architecture: invalid argument"#);
        check("linux/*", r#""linux/*": wildcards not yet supported: invalid argument"#);
        check("linux/a/b/c", r#""linux/a/b/c": cannot parse platform specifier: invalid argument"#);
        check(
            "linux/a/b/c/d",
            r#""c/d" is an invalid component of "linux/a/b/c/d": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument"#,
        );
        check(
            "linux/",
            r#""" is an invalid component of "linux/": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument"#,
        );
        let os = r#"OSAndVersion specifier component must match "^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)((?:\\+[A-Za-z0-9_.%-]+)*)\\))?$": invalid argument"#;
        check("", &format!(r#""" is an invalid OS component of "": {os}"#));
        check("a b/c", &format!(r#""a b" is an invalid OS component of "a b/c": {os}"#));
        check("linux(/c", &format!(r#""linux(" is an invalid OS component of "linux(/c": {os}"#));
        check("linux(+)/c", &format!(r#""linux(+)" is an invalid OS component of "linux(+)/c": {os}"#));
        check("linux(%zz)/c", r#""linux(%zz)/c" has an invalid OS version "%zz": invalid URL escape "%zz""#);
        check(
            "linux(+%z)/c",
            r#""linux(+%z)/c" has invalid OS features: invalid os feature "%z": invalid URL escape "%z""#,
        );
    }

    #[test]
    fn normal_form_says_what_a_specifier_leaves_out() {
        for (specifier, expected) in [
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm64/v8", "linux/arm64"),
            ("LINUX/AMD64/v1", "linux/amd64"),
            ("arm64", "linux/arm64"),
        ] {
            let platform = Platform::parse(specifier, &Platform::new("linux", "amd64")).unwrap();
            assert_eq!(platform.normalize().to_string(), expected, "{specifier}");
        }
        assert_eq!(Platform::default().to_string(), "unknown");
        assert_eq!(Platform::new("", "amd64").normalize().to_string(), "linux/amd64");
    }

    #[test]
    fn host_completes() {
        let host = Platform { variant: "v6".into(), ..Platform::new("freebsd", "arm") };
        assert_eq!(Platform::parse("linux", &host).unwrap().to_string(), "linux/arm/v6");
        assert_eq!(Platform::parse("riscv64", &host).unwrap().to_string(), "freebsd/riscv64");
    }
}
