//! `EXPOSE`: `[address:][port:]port[-port][/protocol]`, of which the container's ports count.

use core::net::IpAddr;

use ast::number;
use ast::{Str, StrKind, quote};

use super::command::listed;
use crate::plan::expand;
use crate::plan::go;
use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::planner::Planner;
use crate::plan::stages::Command;
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

const LAST_PORT: i64 = 65535;

impl Planner<'_> {
    pub(in crate::plan) fn expose(&mut self, state: &mut State, command: &Command<'_>, ports: &[Str]) -> Done {
        let mut specs = Vec::with_capacity(ports.len());
        for port in ports {
            let (raw, escape) = match &port.kind {
                StrKind::Lit(raw) => (raw, self.escape),
                StrKind::Word { raw, escape } => (raw, *escape),
            };
            let words = expand::words(raw, escape, &state.env).map_err(|fault| Stop::from(fault).point(port.span))?;
            let words = words.ok_or(Stop::Unknown)?;
            specs.extend(words.into_iter().map(|word| (word, port.span)));
        }
        let mut exposed = Vec::new();
        for (spec, span) in specs {
            exposed.extend(self.exposed(command, &spec).map_err(|stop| stop.point(span))?);
        }
        self.commit(state, |_| format!("EXPOSE {}", listed(&exposed)), Layer::Empty);
        state.image_mut().config.exposed_ports.extend(exposed);
        Ok(())
    }

    fn exposed(&mut self, command: &Command<'_>, spec: &str) -> Done<Vec<String>> {
        let (address, host, container) = split(spec);
        let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
        let wrong = |why: String| Stop::error(format!("invalid port: {}: {why}", quote(spec.as_bytes())));
        if ports.is_empty() {
            return Err(wrong("no port specified".to_owned()));
        }
        let lower = go::to_lower(protocol);
        if !matches!(&*lower, "" | "tcp" | "udp" | "sctp") {
            return Err(wrong(format!("invalid proto: {protocol}")).help("a protocol is tcp, udp or sctp"));
        }
        if lower != protocol {
            self.note_at(command, NoteKind::PortProtocolCase { port: spec.to_owned() });
        }
        if !address.is_empty() || !host.is_empty() {
            self.note_at(command, NoteKind::PortMapping { port: spec.to_owned() });
        }
        check_address(address)?;
        let range = port_range(ports).ok_or_else(|| Stop::error(format!("invalid containerPort: {ports}")))?;
        check_host_ports(host, ports, range)?;
        let protocol = if lower.is_empty() { "tcp" } else { &lower };
        Ok((range.0..=range.1).map(|port| format!("{port}/{protocol}")).collect())
    }
}

/// Address, port of the host, and what is left.
fn split(spec: &str) -> (&str, &str, &str) {
    match spec.rsplit_once(':') {
        None => ("", "", spec),
        Some((rest, container)) => match rest.rsplit_once(':') {
            None => ("", rest, container),
            Some((address, host)) => (address, host, container),
        },
    }
}

fn check_address(address: &str) -> Done {
    let bare = match address.strip_prefix('[') {
        None => address,
        Some(rest) => bracketed(rest).map_err(|wrong| {
            Stop::error(format!("invalid IP address {address}: address {address}:: {wrong} in address"))
        })?,
    };
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Stop::error(format!("invalid IP address: {bare}")))
}

/// What stands before the closing bracket, or what is wrong with `rest` to Go's `net.SplitHostPort`.
fn bracketed(rest: &str) -> Result<&str, &'static str> {
    match rest.split_once(']') {
        None => Err("missing ']'"),
        Some((_, after)) if after.starts_with(':') => Err("too many colons"),
        Some((_, after)) if !after.is_empty() => Err("missing port"),
        Some((inside, _)) if inside.contains('[') => Err("unexpected '['"),
        Some((inside, _)) => Ok(inside),
    }
}

fn check_host_ports(host: &str, container: &str, ports: (i64, i64)) -> Done {
    if host.is_empty() {
        return Ok(());
    }
    let range = port_range(host).ok_or_else(|| Stop::error(format!("invalid hostPort: {host}")))?;
    if ports.1 - ports.0 == range.1 - range.0 || ports.0 == ports.1 {
        return Ok(());
    }
    Err(Stop::error(format!("invalid ranges specified for container and host Ports: {container} and {host}")))
}

fn port_range(text: &str) -> Option<(i64, i64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

fn port(text: &str) -> Option<i64> {
    number::atoi(text).filter(|port| (0..=LAST_PORT).contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(split("80"), ("", "", "80"));
        assert_eq!(split("8080:80/tcp"), ("", "8080", "80/tcp"));
        assert_eq!(split("[::1]:8080:80"), ("[::1]", "8080", "80"));
        assert_eq!(split("::1:8080:80"), ("::1", "8080", "80"));
    }

    #[test]
    fn brackets() {
        assert_eq!(bracketed("::1]"), Ok("::1"));
        assert_eq!(bracketed("::1"), Err("missing ']'"));
        assert_eq!(bracketed("::1]x"), Err("missing port"));
        assert_eq!(bracketed("::1]:2"), Err("too many colons"));
        assert_eq!(bracketed("::[1]"), Err("unexpected '['"));
    }

    #[test]
    fn ranges() {
        assert_eq!(port_range("80-82"), Some((80, 82)));
        assert_eq!(port_range("+80"), Some((80, 80)));
        for bad in ["", "80-", "-80", "82-80", "65536", "http"] {
            assert_eq!(port_range(bad), None, "{bad}");
        }
    }
}
