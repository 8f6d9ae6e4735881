//! Where a server may send us: not to this machine's own services, nor to those of its cloud, which trust whoever asks
//! from here.
//!
//! Addresses that are written as such are judged before anybody is asked ([`check`]). A name is judged by what it stands
//! for when the connection is made: it is resolved once, what it may not stand for is left out, and what is left is
//! connected ([`Judge`]). Behind a proxy names are the proxy's to resolve and to judge.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Addresses at which cloud providers serve secrets of the machine, and which are not link-local.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// Whether an address that a server of `from` names is asked. **Errors**: why not.
pub(super) fn check(from: Reach, to: &str) -> Result<(), Refused> {
    let scheme = to.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err(Refused("which is neither HTTP nor HTTPS"));
    }
    let uri: Uri = to.parse().map_err(|_| Refused("which is no address"))?;
    may_lead(from, Reach::written(&uri))
}

fn may_lead(from: Reach, to: Reach) -> Result<(), Refused> {
    match to {
        Reach::Public => Ok(()),
        Reach::Machine if from == Reach::Machine => Ok(()),
        Reach::Machine => Err(Refused("which is this machine")),
        Reach::Link => Err(Refused("an address that only neighbours and cloud providers serve")),
        Reach::Disguised => Err(Refused("an address in an unusual spelling")),
    }
}

/// What a host stands for that a server of `from` names; what it may not stand for is left out. **Errors**: why nothing is
/// left.
pub(crate) fn addresses(from: Reach, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let judge = |address: &SocketAddr| may_lead(from, Reach::of(address.ip()));
    let left: Vec<_> = found.iter().copied().filter(|address| judge(address).is_ok()).collect();
    match found.iter().find_map(|address| judge(address).err()) {
        Some(why) if left.is_empty() => Err(io::Error::other(why)),
        _ => Ok(left),
    }
}

/// Why a server's word is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(super) &'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// Who can be behind an address; a name with several is as public as the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Anybody.
    Public,
    /// The loopback interface, or every address of this machine.
    Machine,
    /// Link-local addresses; cloud providers serve secrets of the machine there.
    Link,
    /// A number that resolvers take for an address: `0x7f.1`, `2130706433`.
    Disguised,
}

impl Reach {
    /// Judged by the text alone; names are public but for those that mean this machine everywhere.
    fn written(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        if host == "localhost" || host.ends_with(".localhost") {
            return Self::Machine;
        }
        match host.parse() {
            Ok(address) => Self::of(address),
            Err(_) if is_number(&host) => Self::Disguised,
            Err(_) => Self::Public,
        }
    }

    /// Who answers at a host that the user names.
    pub(crate) fn named(host: &str) -> Self {
        let found = (host, 0).to_socket_addrs().into_iter().flatten();
        found.map(|address| Self::of(address.ip())).min().unwrap_or(Self::Public)
    }

    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            known if METADATA.contains(&known) => Self::Link,
            here if here.is_loopback() || here.is_unspecified() => Self::Machine,
            IpAddr::V4(near) if near.is_link_local() => Self::Link,
            IpAddr::V6(near) if near.is_unicast_link_local() => Self::Link,
            _ => Self::Public,
        }
    }
}

/// What names were found to stand for, so that a server is known by its address when it names another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<BTreeMap<String, Reach>>>);

impl Seen {
    /// Who answers at an address: as its name was resolved, else as it is written.
    pub(super) fn reach(&self, url: &str) -> Reach {
        let Ok(uri) = url.parse::<Uri>() else { return Reach::Public };
        let known = uri.host().and_then(|host| self.lock().get(host).copied());
        known.unwrap_or_else(|| Reach::written(&uri))
    }

    /// Who is public once, or at one address of several, stays so: names change what they stand for.
    fn put(&self, uri: &Uri, addresses: &ResolvedSocketAddrs) {
        let least = addresses.iter().map(|address| Reach::of(address.ip())).min();
        if let (Some(host), Some(reach)) = (uri.host(), least) {
            let mut seen = self.lock();
            let known = seen.entry(host.to_owned()).or_insert(reach);
            *known = reach.min(*known);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Reach>> {
        self.0.lock().expect("no panic while names are looked up")
    }
}

/// A resolver that leaves out what a name may not stand for.
#[derive(Debug)]
pub(super) struct Judge<R = DefaultResolver> {
    /// Who named the address; `None` is the user, who may name any.
    from: Option<Reach>,
    seen: Seen,
    resolver: R,
}

impl Judge {
    pub(super) fn new(from: Option<Reach>, seen: Seen) -> Self {
        Self { from, seen, resolver: DefaultResolver::default() }
    }
}

impl<R: Resolver> Resolver for Judge<R> {
    /// **Errors**: [`Refused`] inside of `Io` when nothing is left.
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        // A proxy is the user's choice, wherever it is.
        let is_proxy = config.proxy().is_some_and(|proxy| Some(proxy.host()) == uri.host());
        let Some(from) = self.from.filter(|_| !is_proxy) else {
            self.seen.put(uri, &found);
            return Ok(found);
        };
        let mut left = self.empty();
        let mut refused = None;
        for address in found.iter() {
            match may_lead(from, Reach::of(address.ip())) {
                Ok(()) => left.push(*address),
                Err(why) => refused = Some(why),
            }
        }
        match refused.filter(|_| left.is_empty()) {
            Some(why) => Err(ureq::Error::Io(std::io::Error::other(why))),
            None => {
                self.seen.put(uri, &left);
                Ok(left)
            }
        }
    }
}

/// Whether the last label is a number, which no name of the public system is.
fn is_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_and_what_is_not() {
        let ok = |from: Reach, to: &str| assert_eq!(check(from, to), Ok(()), "{from:?} {to}");
        ok(Reach::Public, "https://cdn.example/blob");
        ok(Reach::Public, "https://10.0.0.7/blob");
        ok(Reach::Machine, "http://localhost:5001/v2/");
        let refused = |to: &str, why: &'static str| assert_eq!(check(Reach::Public, to), Err(Refused(why)), "{to}");
        for to in [
            "http://127.0.0.1/",
            "http://localhost:2375/",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            refused(to, "which is this machine");
        }
        for to in [
            "http://169.254.169.254/latest/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/latest/",
            "http://100.100.100.200/latest/",
        ] {
            refused(to, "an address that only neighbours and cloud providers serve");
            assert!(check(Reach::Machine, to).is_err());
        }
        for to in ["http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://127.1/"] {
            refused(to, "an address in an unusual spelling");
        }
        refused("file:///etc/passwd", "which is neither HTTP nor HTTPS");
        refused("gopher://x/", "which is neither HTTP nor HTTPS");
    }

    /// Every name stands for these.
    #[derive(Debug)]
    struct Names(&'static [&'static str]);

    impl Resolver for Names {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            self.0.iter().for_each(|address| found.push(address.parse().unwrap()));
            Ok(found)
        }
    }

    /// What is connected of what a name stands for, or why nothing is.
    #[track_caller]
    fn judged(from: Option<Reach>, names: &'static [&'static str], expected: &str) -> Reach {
        let judge = Judge { from, seen: Seen::default(), resolver: Names(names) };
        let timeout = NextTimeout {
            after: ureq::unversioned::transport::time::Duration::NotHappening,
            reason: ureq::Timeout::Resolve,
            ..NextTimeout::default()
        };
        let config = ureq::Agent::config_builder().proxy(None).build();
        let actual = match judge.resolve(&"http://name.example/".parse().unwrap(), &config, timeout) {
            Ok(left) => left.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(ureq::Error::Io(error)) => error.to_string(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(actual, expected);
        judge.seen.reach("http://name.example:81/")
    }

    #[test]
    fn a_name_is_what_it_stands_for() {
        let (outside, here, near) = ("192.0.2.1:80", "127.0.0.1:80", "an address that only neighbours and cloud");
        let near = format!("{near} providers serve");
        judged(Some(Reach::Public), &["127.0.0.1:80", "[::1]:80"], "which is this machine");
        judged(Some(Reach::Public), &["[::ffff:127.0.0.1]:80"], "which is this machine");
        judged(Some(Reach::Machine), &["169.254.169.254:80"], &near);
        judged(Some(Reach::Public), &["127.0.0.1:80", "192.0.2.1:80"], outside);
        assert_eq!(judged(Some(Reach::Machine), &["127.0.0.1:80"], here), Reach::Machine);
        // The user may name any, and is told apart from a server that does.
        assert_eq!(judged(None, &["127.0.0.1:80"], here), Reach::Machine);
        assert_eq!(judged(None, &["192.0.2.1:80"], outside), Reach::Public);
        let both = "127.0.0.1:80 192.0.2.1:80";
        assert_eq!(judged(None, &["127.0.0.1:80", "192.0.2.1:80"], both), Reach::Public);
    }
}
