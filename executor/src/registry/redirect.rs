//! Where a server may send us: not to this machine's own services, nor to those of its cloud, which trust whoever asks
//! from here.
//!
//! Only addresses that are written as such are judged; who controls a name's resolution controls a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

/// Whether a redirect from one address to another is followed. **Errors**: why not.
pub(super) fn check(from: &str, to: &str) -> Result<(), &'static str> {
    let scheme = to.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err("which is neither HTTP nor HTTPS");
    }
    let uri: Uri = to.parse().map_err(|_| "which is no address")?;
    match (reach(&uri), from.parse().map(|from: Uri| reach(&from))) {
        (Reach::Public, _) => Ok(()),
        (Reach::Machine, Ok(Reach::Machine)) => Ok(()),
        (Reach::Machine, _) => Err("which is this machine"),
        (Reach::Link, _) => Err("an address that only neighbours and cloud providers serve"),
        (Reach::Disguised, _) => Err("an address in an unusual spelling"),
    }
}

/// Who can be behind an address.
#[derive(PartialEq)]
enum Reach {
    Public,
    /// The loopback interface, or every address of this machine.
    Machine,
    /// Link-local addresses; cloud providers serve secrets of the machine there.
    Link,
    /// A number that resolvers take for an address: `0x7f.1`, `2130706433`.
    Disguised,
}

fn reach(uri: &Uri) -> Reach {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return Reach::Machine;
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => of_v4(address),
        Ok(IpAddr::V6(address)) => address.to_ipv4_mapped().map_or_else(|| of_v6(address), of_v4),
        Err(_) if is_number(&host) => Reach::Disguised,
        Err(_) => Reach::Public,
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    match address {
        _ if address.is_loopback() || address.is_unspecified() => Reach::Machine,
        _ if address.is_link_local() => Reach::Link,
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    match address {
        _ if address.is_loopback() || address.is_unspecified() => Reach::Machine,
        _ if address.is_unicast_link_local() => Reach::Link,
        _ => Reach::Public,
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
        let outside = "https://registry.example/v2/";
        let ok = |from: &str, to: &str| assert_eq!(check(from, to), Ok(()), "{from} {to}");
        ok(outside, "https://cdn.example/blob");
        ok(outside, "https://10.0.0.7/blob");
        ok("http://127.0.0.1:5000/v2/", "http://localhost:5001/v2/");
        let refused = |to: &str, why: &str| assert_eq!(check(outside, to), Err(why), "{to}");
        for to in [
            "http://127.0.0.1/",
            "http://localhost:2375/",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            refused(to, "which is this machine");
        }
        for to in ["http://169.254.169.254/latest/", "http://[fe80::1]/"] {
            refused(to, "an address that only neighbours and cloud providers serve");
            assert!(check("http://127.0.0.1/", to).is_err());
        }
        for to in ["http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://127.1/"] {
            refused(to, "an address in an unusual spelling");
        }
        refused("file:///etc/passwd", "which is neither HTTP nor HTTPS");
        refused("gopher://x/", "which is neither HTTP nor HTTPS");
    }
}
