//! The forms of single options: platforms, hosts, limits, modes. Messages as BuildKit's `dockerui` and its parsers
//! (`go-units`, `strconv`) give them.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use ast::number::{self, NumberError};
use ast::quote;
use llb::scan::Scanner;
use llb::{HostIp, LinuxResources, NetMode, Ulimit};
use oci::Platform;
use serde::{Deserialize, Deserializer};

use super::{Bad, Lookup, csv};
use crate::ResolveMode;
use crate::plan::go;

/// The resource limits a process can be given.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Highest number of a processor or memory node: the bound BuildKit sets.
const MAX_CPU: i64 = 8192;

impl From<NumberError> for Bad {
    fn from(error: NumberError) -> Self {
        Self::new(error.to_string())
    }
}

pub(super) fn platforms(text: &str, host: &Platform) -> Result<Vec<Platform>, Bad> {
    let parse = |specifier: &str| match Platform::parse(specifier, host) {
        Ok(platform) => Ok(platform.normalize()),
        Err(error) => Err(Bad::new(format!("failed to parse target platform {specifier}: {error}"))
            .help("a platform is os/architecture[/variant], such as linux/arm64")),
    };
    if text.is_empty() { Ok(Vec::new()) } else { text.split(',').map(parse).collect() }
}

pub(super) fn resolve_mode(text: &str) -> Result<ResolveMode, Bad> {
    match text {
        "" | "default" => Ok(ResolveMode::Default),
        "pull" => Ok(ResolveMode::Pull),
        "local" => Ok(ResolveMode::Local),
        other => Err(Bad::new(format!("invalid image-resolve-mode: {other}")).help("one of default, pull, local")),
    }
}

pub(super) fn network(text: &str) -> Result<NetMode, Bad> {
    match text {
        "" | "sandbox" => Ok(NetMode::Unset),
        "none" => Ok(NetMode::None),
        "host" => Ok(NetMode::Host),
        other => Err(Bad::new(format!("invalid netmode {other}")).help("one of none, host, sandbox")),
    }
}

pub(super) fn hosts(text: &str) -> Result<Vec<HostIp>, Bad> {
    let host = |field: String| {
        let lower = go::to_lower(&field);
        let Some((host, address)) = lower.split_once('=') else {
            return Err(Bad::new(format!("invalid key-value pair {field}")).help("an entry is host=address"));
        };
        match address.parse::<IpAddr>() {
            Ok(ip) => Ok(HostIp { host: host.to_owned(), ip: ip.to_canonical().to_string() }),
            Err(_) => Err(Bad::new(format!("failed to parse IP {address}"))),
        }
    };
    fields(text)?.into_iter().map(host).collect()
}

pub(super) fn size(text: &str) -> Result<i64, Bad> {
    if text.is_empty() { Ok(0) } else { Ok(number::parse_int(text, 10, 64)?) }
}

pub(super) fn ulimits(text: &str) -> Result<Vec<Ulimit>, Bad> {
    fields(text)?.iter().map(|field| ulimit(field)).collect()
}

fn ulimit(text: &str) -> Result<Ulimit, Bad> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err(Bad::new(format!("invalid ulimit argument: {text}")).help("a limit is name=soft[:hard]"));
    };
    if !ULIMITS.contains(&name) {
        return Err(Bad::new(format!("invalid ulimit type: {name}")).help(format!("one of {}", ULIMITS.join(", "))));
    }
    let parse = |text: &str| number::parse_int(text, 10, 64);
    let (soft, hard) = match limits.split(':').collect::<Vec<_>>()[..] {
        [both] => (parse(both)?, parse(both)?),
        // The hard limit is read first: its error wins.
        [soft, hard] => {
            let hard = parse(hard)?;
            (parse(soft)?, hard)
        }
        _ => {
            let what = "can only have up to two, `soft[:hard]`";
            return Err(Bad::new(format!("too many limit value arguments - {limits}, {what}")));
        }
    };
    let too_low = "ulimit soft limit must be less than or equal to hard limit";
    match (soft, hard) {
        (_, -1) => {}
        (-1, _) => return Err(Bad::new(format!("{too_low}: soft: -1 (unlimited), hard: {hard}"))),
        _ if soft > hard => return Err(Bad::new(format!("{too_low}: {soft} > {hard}"))),
        _ => {}
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

fn fields(text: &str) -> Result<Vec<String>, Bad> {
    if text.is_empty() { Ok(Vec::new()) } else { csv::fields(text).map_err(Bad::new) }
}

pub(super) fn resources(opts: Lookup<'_>) -> Result<Option<LinuxResources>, Bad> {
    let positive = "must be > 0";
    let resources = LinuxResources {
        memory: limit(opts, "memory", signed, |n| n > 0, positive)?,
        memory_swap: limit(opts, "memswap", signed, |n| n == -1 || n > 0, "must be -1 (unlimited) or > 0")?,
        cpu_shares: limit(opts, "cpushares", unsigned, |n| n != 0, positive)?,
        cpu_period: limit(opts, "cpuperiod", unsigned, |n| n != 0, positive)?,
        cpu_quota: limit(opts, "cpuquota", signed, |n| n > 0, positive)?,
        cpuset_cpus: set(opts, "cpusetcpus")?,
        cpuset_mems: set(opts, "cpusetmems")?,
    };
    Ok((resources != LinuxResources::default()).then_some(resources))
}

fn signed(text: &str) -> Result<i64, NumberError> {
    number::parse_int(text, 10, 64)
}

/// The bits of an unsigned number: the wire keeps them.
fn unsigned(text: &str) -> Result<i64, NumberError> {
    number::parse_uint(text, 10, 64).map(|n| n as i64)
}

fn limit(
    opts: Lookup<'_>,
    name: &str,
    parse: fn(&str) -> Result<i64, NumberError>,
    allowed: fn(i64) -> bool,
    rule: &str,
) -> Result<i64, Bad> {
    let text = opts.text(name);
    if text.is_empty() {
        return Ok(0);
    }
    let value = parse(text).map_err(|error| Bad::new(format!("invalid {name} value: {text}: {error}")))?;
    if allowed(value) { Ok(value) } else { Err(Bad::new(format!("invalid {name} value: {text}: {rule}"))) }
}

fn set(opts: Lookup<'_>, name: &str) -> Result<String, Bad> {
    let text = opts.text(name);
    let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
    for element in elements {
        check_set_element(element).map_err(|error| Bad::new(format!("invalid {name} value: {text}: {error}")))?;
    }
    Ok(text.to_owned())
}

fn check_set_element(element: &str) -> Result<(), String> {
    let number = |text: &str| number::atoi(text.trim()).filter(|n| *n >= 0);
    let shown = || quote(element.as_bytes());
    let (kind, last) = match element.split_once('-') {
        None => ("element", number(element)),
        Some((low, high)) => {
            let range = number(low).zip(number(high)).filter(|(low, high)| low <= high);
            ("range", range.map(|(_, high)| high))
        }
    };
    match last {
        None => Err(format!("invalid cpuset {kind} {}", shown())),
        Some(last) if last > MAX_CPU => Err(format!("cpuset {kind} {} exceeds maximum {MAX_CPU}", shown())),
        Some(_) => Ok(()),
    }
}

/// Cache imports concern whoever runs the result; here they only have to be a list.
pub(super) fn check_cache_imports(text: &str) -> Result<(), Bad> {
    cache_imports(text).map(drop).map_err(|error| {
        Bad::new(format!("failed to unmarshal cache-imports ({}): {error}", quote(text.as_bytes())))
            .help(r#"a JSON list such as [{"Type":"registry","Attrs":{"ref":"example.com/cache"}}]"#)
    })
}

/// A cache that a build may take results from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CacheImport {
    /// `registry`, `local`, ….
    #[serde(rename = "Type", alias = "type", default)]
    pub kind: String,
    /// Attributes of that kind: `ref`, ….
    #[serde(rename = "Attrs", alias = "attrs", default, deserialize_with = "or_none")]
    pub attrs: BTreeMap<String, String>,
}

/// The caches that an option (`cache-imports`) lists.
///
/// **Errors**: it is no list of them.
pub fn cache_imports(text: &str) -> Result<Vec<CacheImport>, serde_json::Error> {
    if text.is_empty() { Ok(Vec::new()) } else { serde_json::from_str(text).map(Option::unwrap_or_default) }
}

/// Go leaves what is `null` as it was.
fn or_none<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, String>, D::Error> {
    Option::deserialize(reader).map(Option::unwrap_or_default)
}

/// What makes bills of materials on a platform, if attestations ask for one.
pub(super) fn scanner(opts: Lookup<'_>, platform: &Platform) -> Result<Option<Scanner>, Bad> {
    let wanted = opts.each_with_prefix("attest:").chain(opts.each_with_prefix("build-arg:BUILDKIT_ATTEST_"));
    let mut attestations = BTreeMap::new();
    for (kind, value) in wanted {
        let kind = go::to_lower(kind);
        let attributes = fields(value).map_err(|bad| bad.context(&format!("failed to parse {kind}")))?;
        attestations.insert(kind, attributes);
    }
    // All are read before one is looked at.
    if let Some(other) = attestations.keys().find(|kind| !matches!(&***kind, "provenance" | "sbom")) {
        return Err(Bad::new(format!("unknown attestation type {}", quote(other.as_bytes())))
            .help("attestations are provenance and sbom"));
    }
    let parse = |fields: &Vec<String>| Scanner::parse(fields, Arc::new(platform.clone())).map_err(Bad::new);
    attestations.get("sbom").map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T>(result: Result<T, Bad>) -> String {
        result.err().map_or("ok".to_owned(), |bad| bad.message)
    }

    #[test]
    fn lists_of_caches() {
        let read = |text: &str| {
            let shown = |import: &CacheImport| format!("{} {:?}", import.kind, import.attrs);
            cache_imports(text).map(|imports| imports.iter().map(shown).collect::<Vec<_>>().join("; ")).ok()
        };
        let both = r#"[{"Type":"registry","Attrs":{"ref":"a/b"}},{"type":"gha","attrs":null}]"#;
        assert_eq!(read(both).as_deref(), Some(r#"registry {"ref": "a/b"}; gha {}"#));
        assert_eq!((read("").as_deref(), read("null").as_deref(), read("{}")), (Some(""), Some(""), None));
        let refused = r#"failed to unmarshal cache-imports ("x"): expected value at line 1 column 1"#;
        assert_eq!(message(check_cache_imports("x")), refused);
    }

    #[test]
    fn attestations_are_all_read_before_one_is_looked_at() {
        let refused = |given: &[(&str, &str)]| {
            let opts = given.iter().map(|(name, value)| (format!("attest:{name}"), (*value).to_owned())).collect();
            message(scanner(Lookup(&opts), &Platform::new("linux", "amd64")))
        };
        assert_eq!(refused(&[("SBOM", "generator=x"), ("provenance", "mode=max")]), "ok");
        assert_eq!(refused(&[("sbom", "generator=A B"), ("zzz", "")]), r#"unknown attestation type "zzz""#);
        assert_eq!(refused(&[("sbom", "generator=")]), "failed to parse sbom scanner : invalid reference format");
        assert!(refused(&[("aaa", ""), ("sbom", "a\"b")]).starts_with("failed to parse sbom: "));
    }

    #[test]
    fn host_lists() {
        let hosts = hosts("Web=10.0.0.1,v6=FE80:0:0::1,m=::ffff:1.2.3.4").ok().unwrap();
        let shown: Vec<_> = hosts.iter().map(|entry| format!("{} {}", entry.host, entry.ip)).collect();
        assert_eq!(shown, ["web 10.0.0.1", "v6 fe80::1", "m 1.2.3.4"]);
    }

    #[test]
    fn limits() {
        assert_eq!(message(ulimit("nofile=1:2")), "ok");
        assert_eq!(message(ulimit("nofile=-1:-1")), "ok");
        assert_eq!(message(ulimit("as=1")), "invalid ulimit type: as");
        let too_low = "ulimit soft limit must be less than or equal to hard limit";
        assert_eq!(message(ulimit("core=3:2")), format!("{too_low}: 3 > 2"));
        assert_eq!(message(ulimit("core=-1:2")), format!("{too_low}: soft: -1 (unlimited), hard: 2"));
        assert_eq!(message(ulimit("core=a:b")), r#"strconv.ParseInt: parsing "b": invalid syntax"#);
    }

    #[test]
    fn sets() {
        assert_eq!(check_set_element("0"), Ok(()));
        assert_eq!(check_set_element("0 - 3"), Ok(()));
        assert_eq!(check_set_element("3-1"), Err(r#"invalid cpuset range "3-1""#.into()));
        assert_eq!(check_set_element("x"), Err(r#"invalid cpuset element "x""#.into()));
        assert_eq!(check_set_element("9000"), Err(r#"cpuset element "9000" exceeds maximum 8192"#.into()));
    }
}
