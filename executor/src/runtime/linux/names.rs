//! What a container knows of names: its own, /etc/hosts, /etc/resolv.conf.
//!
//! parity: BuildKit v0.32, executor/oci: the texts of its files, byte for byte.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::runtime::{Network, Spec};

/// The host's file.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps the servers that it asks itself.
const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";
/// The address of systemd-resolved's own server.
const RESOLVED_STUB: &str = "127.0.0.53";
/// The name of a container that was given none.
const DEFAULT_HOSTNAME: &str = "buildkitsandbox";
/// Who is asked when the host names nobody: Google's servers.
const DEFAULT_SERVERS: [&str; 4] = ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"];

/// The container's host name.
pub(super) fn hostname(spec: &Spec) -> &str {
    if spec.hostname.is_empty() { DEFAULT_HOSTNAME } else { &spec.hostname }
}

/// Text of /etc/hosts.
pub(super) fn hosts(spec: &Spec) -> String {
    let name = hostname(spec);
    let mut text = format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (host, address) in &spec.extra_hosts {
        text.push_str(&format!("{address}\t{host}\n"));
    }
    text
}

/// Text of /etc/resolv.conf, from the host's; with a server, that is the one to ask.
pub(super) fn resolv_conf(network: Network, server: Option<Ipv4Addr>) -> String {
    let read = |path| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let host = read(RESOLV_CONF);
    if let Some(server) = server {
        // It asks the host's servers, wherever they are.
        let server = server.to_string();
        return Resolv { servers: vec![&server], ..Resolv::parse(&host) }.text();
    }
    if network == Network::Host {
        return resolv_conf_from(&host, Loopback::Reachable);
    }
    let only_resolved = Resolv::parse(&host).servers == [RESOLVED_STUB];
    resolv_conf_from(&if only_resolved { read(RESOLVED_CONF) } else { host }, Loopback::Own)
}

/// Whose loopback interface the container has.
#[derive(Clone, Copy, PartialEq)]
enum Loopback {
    Reachable,
    Own,
}

fn resolv_conf_from(host: &str, loopback: Loopback) -> String {
    let mut resolv = Resolv::parse(host);
    if loopback == Loopback::Own {
        resolv.servers.retain(|server| !server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()));
    }
    if resolv.servers.is_empty() {
        resolv.servers = DEFAULT_SERVERS.to_vec();
    }
    resolv.text()
}

/// A resolv.conf, taken apart.
#[derive(Default)]
struct Resolv<'a> {
    servers: Vec<&'a str>,
    search: Vec<&'a str>,
    options: Vec<&'a str>,
    other: Vec<&'a str>,
}

impl<'a> Resolv<'a> {
    fn parse(text: &'a str) -> Self {
        let mut resolv = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("nameserver"), Some(server)) if server.parse::<IpAddr>().is_ok() => resolv.servers.push(server),
                (Some("domain" | "search"), Some(first)) => resolv.search = [first].into_iter().chain(words).collect(),
                (Some("options"), Some(first)) => resolv.options = [first].into_iter().chain(words).collect(),
                (None, _) | (Some("nameserver" | "domain" | "search" | "options"), _) => {}
                _ => resolv.other.push(line),
            }
        }
        resolv
    }

    fn text(&self) -> String {
        let mut text: String = self.servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        for (keyword, words) in [("search", &self.search), ("options", &self.options)] {
            if !words.is_empty() {
                text.push_str(&format!("{keyword} {}\n", words.join(" ")));
            }
        }
        self.other.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_has_the_name_and_the_extra_lines() {
        let spec = Spec { extra_hosts: vec![("db".into(), "10.0.0.2".into())], ..Spec::default() };
        let want = "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tdb\n";
        assert_eq!(hosts(&spec), want);
    }

    #[test]
    fn servers_on_the_loopback_are_kept_only_when_they_can_be_reached() {
        let host = "# comment\nnameserver 127.0.0.1\nnameserver 10.0.0.1\ndomain old\nsearch a b\noptions ndots:2\nsortlist x\n";
        let rest = "search a b\noptions ndots:2\nsortlist x\n";
        assert_eq!(resolv_conf_from(host, Loopback::Own), format!("nameserver 10.0.0.1\n{rest}"));
        let both = format!("nameserver 127.0.0.1\nnameserver 10.0.0.1\n{rest}");
        assert_eq!(resolv_conf_from(host, Loopback::Reachable), both);
    }

    #[test]
    fn without_a_server_the_defaults_are_asked() {
        let want = "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n";
        assert_eq!(resolv_conf_from("nameserver ::1\n", Loopback::Own), want);
        assert_eq!(resolv_conf_from("", Loopback::Reachable), want);
    }
}
