//! The router's way out for root: a pair of interfaces into the host's network.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::netlink::{Index, Netlink};
use super::{Lasts, UPLINK, default_interface, filter};
use crate::{Error, Result};

/// Networks of four addresses for pairs lie here, a slot each.
const PAIRS: Ipv4Addr = Ipv4Addr::new(10, 212, 0, 0);
/// Executors that can have a sandbox at the same time.
const SLOTS: u32 = 1 << 14;
/// Length of the prefix of a slot.
const PREFIX: u8 = 30;
/// Size of packets where the host does not say.
const MTU: u32 = 1500;
/// Begins the names of the host's ends.
const NAME: &str = "llbc";

/// The pair, and what the host does for it.
pub(super) struct Uplink {
    /// Translates the router's address as long as it is open.
    translation: Netlink,
    _slot: OwnedFd,
    _rules: Rules,
}

impl Uplink {
    /// Connects a router with the host. `routes` is the host's table, `mtu` the size of packets.
    pub(super) fn make(router: BorrowedFd<'_>, control: &Netlink, routes: &str, mtu: u32) -> Result<Self> {
        let failed = |what: &'static str| Error::io("make the sandbox's way out:", what);
        let out = default_interface(routes);
        let socket = Netlink::route().map_err(failed("a netlink socket"))?;
        let (slot, number) =
            take_slot(|number| socket.add_pair((&name(number), Index(0)), (UPLINK, Index(0)), router, mtu))
                .map_err(failed("a pair of interfaces"))?;
        let name = name(number);
        let first = u32::from(PAIRS) + number * 4;
        let [network, here, there] = [first, first + 1, first + 2].map(Ipv4Addr::from);
        let connect = || -> io::Result<()> {
            socket.add_address(socket.index(&name)?, here, PREFIX)?;
            socket.bring_up(&name)?;
            control.add_address(control.index(UPLINK)?, there, PREFIX)?;
            control.bring_up(UPLINK)?;
            control.add_default_route(here)
        };
        connect().map_err(failed("addresses"))?;
        if !forwards_everything() {
            // What comes back must be forwarded, too.
            for interface in [Some(&*name), out].into_iter().flatten() {
                socket.forward(interface).map_err(failed("forwarding"))?;
            }
        }
        let translation = Netlink::filter().map_err(failed("a netlink socket"))?;
        let table = (&*name, Lasts::LikeItsSocket);
        filter::masquerade(&translation, table, network, PREFIX).map_err(failed("address translation (nftables)"))?;
        let rules = Rules::pass(&name, filter::dropping(&translation))?;
        Ok(Self { translation, _slot: slot, _rules: rules })
    }

    /// The socket that the translation lasts as long as.
    pub(super) fn translation(&self) -> BorrowedFd<'_> {
        self.translation.as_fd()
    }
}

fn forwards_everything() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// Size of packets that get through.
pub(super) fn mtu(routes: &str) -> u32 {
    let of = |interface| std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok();
    default_interface(routes).and_then(of).unwrap_or(MTU)
}

/// Name of the host's end of a pair.
fn name(number: u32) -> String {
    format!("{NAME}{number}")
}

/// Takes a number that no other executor in this network has, and makes its pair. A socket's name is its lock, and goes
/// with its process; the pair of a process that ended goes a moment later, so its number may be free and its name not.
fn take_slot(make: impl Fn(u32) -> io::Result<()>) -> io::Result<(OwnedFd, u32)> {
    let first = std::process::id() % SLOTS;
    for number in (first..SLOTS).chain(0..first) {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let name = SocketAddrUnix::new_abstract_name(format!("llbc-sandbox-{number}").as_bytes())?;
        match rustix::net::bind(&socket, &name) {
            Err(rustix::io::Errno::ADDRINUSE) => continue,
            bound => bound?,
        }
        match make(number) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| (socket, number)),
        }
    }
    Err(io::Error::other("too many executors"))
}

/// Rules among those of iptables that let packets of ours pass where everything else is dropped, as Docker sets it up.
struct Rules(Vec<Vec<String>>);

impl Rules {
    /// Makes those that are needed.
    fn pass(interface: &str, dropping: Vec<filter::Dropping>) -> Result<Self> {
        let mut rules = Self(Vec::new());
        let is_iptables = |(table, chain): &filter::Dropping| table == "filter" && chain == "FORWARD";
        if let Some((table, chain)) = dropping.iter().find(|chain| !is_iptables(chain)) {
            return Err(Error::Invalid(format!(
                "the chain {chain} of the packet filter {table} drops what is forwarded; allow what comes from and goes \
                 to interfaces {NAME}*"
            )));
        }
        if dropping.is_empty() {
            return Ok(rules);
        }
        sweep();
        for direction in ["-i", "-o"] {
            let rule = ["FORWARD", direction, interface, "-j", "ACCEPT"].map(str::to_owned).to_vec();
            if !iptables("-I", &rule) {
                return Err(Error::Invalid(
                    "the host drops what is forwarded, and iptables does not change that".into(),
                ));
            }
            rules.0.push(rule);
        }
        Ok(rules)
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        for rule in &self.0 {
            iptables("-D", rule);
        }
    }
}

/// Removes rules of executors that were killed: those for interfaces that are gone.
fn sweep() {
    let Ok(listed) = Command::new("iptables").args(["-w", "-S", "FORWARD"]).output() else { return };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let [_, rule @ ..] = words.as_slice() else { continue };
        let interface =
            rule.get(2).filter(|name| name.strip_prefix(NAME).is_some_and(|rest| rest.parse::<u32>().is_ok()));
        if interface.is_some_and(|name| !std::path::Path::new("/sys/class/net").join(name).exists()) {
            iptables("-D", rule);
        }
    }
}

fn iptables(command: &str, rule: &[String]) -> bool {
    let mut iptables = Command::new("iptables");
    iptables.args(["-w", command]).args(rule).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    iptables.status().is_ok_and(|status| status.success())
}
