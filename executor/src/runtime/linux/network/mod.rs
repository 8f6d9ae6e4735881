//! A network for containers of their own: they reach the outside, nobody reaches them, and they do not see the host's.
//!
//! One *router*, a network namespace without processes, serves all containers of an executor:
//!
//! ```text
//! container ── eth0 ─┐
//! container ── eth0 ─┴─ steps (bridge) │ router │ uplink ── host's network, or a program that speaks for the user
//! ```
//!
//! The router hides containers behind its own address. Its uplink is, for root, a pair of interfaces whose other end lies
//! in the host's network, where the router's address is hidden behind the host's; an ordinary user's is a tap device of
//! `slirp4netns`. Everything hangs on descriptors and sockets: when the executor ends, however, the namespace
//! goes, and with it its interfaces and those of the pair; the host's translation goes with the socket that made it, which
//! the zygote keeps open, too: whoever closes it last waits for the kernel, and nobody waits for the zygote.
//!
//! | file | what it is |
//! |---|---|
//! | `ahead` | the network of the next container, made while one runs |
//! | `netlink` | requests to the kernel |
//! | `filter` | translating addresses; other people's filters |
//! | `host` | the uplink of root |
//! | `user` | the uplink of an ordinary user |

mod ahead;
mod filter;
mod host;
mod netlink;
mod user;

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

pub(super) use ahead::Networks;
use filter::Lasts;
use netlink::{Index, Netlink};
use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;

use crate::{Error, Result, userns};

/// Networks to give containers, the first that the host has no way to; a /16 each.
const NETWORKS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 211, 0, 0),
    Ipv4Addr::new(172, 29, 0, 0),
    Ipv4Addr::new(10, 89, 0, 0),
    Ipv4Addr::new(192, 168, 0, 0),
];
/// Length of their prefix.
const PREFIX: u8 = 16;
/// Addresses for containers in one: but for the network's own, the router's and the one for all.
const ADDRESSES: u32 = (1 << 16) - 3;
/// Number of a router's bridge, and of a container's interface: each is the first that is made beside the loopback.
const SECOND: Index = Index(2);
/// Numbers of a router's interfaces to containers begin here; below, the kernel finds one for the uplink.
const PORTS: u32 = 1 << 10;
/// Names of the router's interfaces.
const BRIDGE: &str = "steps";
const UPLINK: &str = "uplink";

/// What all containers of an executor share.
pub(super) struct Router {
    inside: Inside,
    /// How it reaches the outside; gone when dropped.
    uplink: Uplink,
}

/// A router without its uplink.
struct Inside {
    namespace: OwnedFd,
    control: Netlink,
    network: Ipv4Addr,
    mtu: u32,
    next: AtomicU32,
}

/// The way out.
enum Uplink {
    Host(host::Uplink),
    User { _program: user::Uplink },
}

/// The network of one container: its namespace.
pub(super) struct Sandbox(pub(super) OwnedFd);

/// Who is to be asked for names in a sandbox; `None` leaves it to the host's file.
pub(super) fn names() -> Option<Ipv4Addr> {
    userns::is_confined().then_some(user::NAMES)
}

/// A namespace with a loopback interface, and a socket in it.
struct Blank {
    namespace: OwnedFd,
    control: Netlink,
}

impl Router {
    /// Makes the router, and the network of the first container: side by side, as far as one does not need the other.
    /// A first one that cannot be made is made when it is asked for, or fails for a reason that holds then. **Errors**: why
    /// there can be no router here.
    pub(super) fn start() -> Result<(Self, Option<Sandbox>)> {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let network = NETWORKS.into_iter().find(|network| !overlaps(&routes, *network));
        let network =
            network.ok_or_else(|| Error::Invalid("the host uses all networks a sandbox could have".into()))?;
        let blank = std::thread::spawn(Blank::make_here);
        let inside = Inside::make(network, mtu(&routes))
            .map_err(Error::io("make", "a network namespace with a bridge and address translation"))?;
        let (uplink, first) = std::thread::scope(|scope| {
            let uplink = scope.spawn(|| Uplink::make(&inside, &routes));
            let first = blank.join().expect("nothing there panics").and_then(|blank| inside.connect(blank));
            (uplink.join().expect("nothing there panics"), first)
        });
        let uplink = uplink?;
        for interface in [BRIDGE, UPLINK] {
            inside.control.forward(interface).map_err(Error::io("forward packets of", interface))?;
        }
        Ok((Self { inside, uplink }, first.ok()))
    }

    /// What is to stay open a little longer than this: closing it last takes milliseconds.
    pub(super) fn slow_to_close(&self) -> Option<BorrowedFd<'_>> {
        match &self.uplink {
            Uplink::Host(uplink) => Some(uplink.translation()),
            Uplink::User { .. } => None,
        }
    }

    /// Makes a network for one container.
    pub(super) fn sandbox(&self) -> Result<Sandbox> {
        in_thread(|| self.sandbox_here())
    }

    /// The same, by a thread that must end afterwards: it stays in that network.
    fn sandbox_here(&self) -> Result<Sandbox> {
        let made = Blank::make_here().and_then(|blank| self.inside.connect(blank));
        made.map_err(Error::io("make", "the network of a container"))
    }
}

impl Uplink {
    fn make(router: &Inside, routes: &str) -> Result<Self> {
        Ok(match userns::is_confined() {
            true => Self::User { _program: user::Uplink::start(router.namespace.as_fd())? },
            false => Self::Host(host::Uplink::make(router.namespace.as_fd(), &router.control, routes, router.mtu)?),
        })
    }
}

/// Size of packets that get through.
fn mtu(routes: &str) -> u32 {
    if userns::is_confined() { user::MTU } else { host::mtu(routes) }
}

impl Inside {
    fn make(network: Ipv4Addr, mtu: u32) -> io::Result<Self> {
        let Blank { namespace, control } = in_thread(|| {
            let blank = Blank::make_here()?;
            blank.control.add_bridge(BRIDGE, SECOND)?;
            blank.control.bring_up(BRIDGE)?;
            blank.control.add_address(SECOND, address(network, 1), PREFIX)?;
            filter::masquerade(&Netlink::filter()?, ("sandbox", Lasts::LikeItsNamespace), network, PREFIX)?;
            io::Result::Ok(blank)
        })?;
        Ok(Self { namespace, control, network, mtu, next: AtomicU32::new(0) })
    }

    /// Connects a container.
    fn connect(&self, Blank { namespace, control }: Blank) -> io::Result<Sandbox> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let port = format!("step{number}");
        let index = Index(PORTS + number);
        control.add_pair(("eth0", SECOND), (&port, index), self.namespace.as_fd(), self.mtu)?;
        self.control.enslave(&port, SECOND)?;
        self.control.isolate(index)?;
        control.add_address(SECOND, address(self.network, 2 + number % ADDRESSES), PREFIX)?;
        control.bring_up("eth0")?;
        control.add_default_route(address(self.network, 1))?;
        self.control.settle(index)?;
        Ok(Sandbox(namespace))
    }
}

impl Blank {
    /// Makes it. The thread stays in that network and must end soon: threads cannot be trusted to come back. Interfaces that
    /// are made there have no IPv6: there is no way out for it, and each would look for neighbours as it comes and goes.
    fn make_here() -> io::Result<Self> {
        // SAFETY: only the network namespace of this thread changes, which opens nothing but sockets for it.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?;
        // Where that is refused, or the kernel has no IPv6, nothing is lost but time.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        let control = Netlink::route()?;
        control.bring_up("lo")?;
        Ok(Self { namespace, control })
    }
}

fn address(network: Ipv4Addr, number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network) + number)
}

/// Does something in a thread of its own.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("nothing there panics"))
}

/// Enters a network namespace with this process, which has one thread.
pub(super) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, Some(rustix::thread::LinkNameSpaceType::Network))?)
}

/// Whether one of the host's routes (lines of /proc/net/route), but for that to everywhere, leads into a network.
fn overlaps(routes: &str, network: Ipv4Addr) -> bool {
    let wanted = u32::from(network);
    let prefix = u32::MAX << (32 - u32::from(PREFIX));
    lines(routes).any(|route| route.mask != 0 && (route.destination ^ wanted) & route.mask & prefix == 0)
}

/// A line of /proc/net/route.
struct Route<'a> {
    interface: &'a str,
    destination: u32,
    mask: u32,
}

fn lines(routes: &str) -> impl Iterator<Item = Route<'_>> {
    // The kernel prints the number that the bytes of the address are in memory.
    let number = |text: &str| Some(u32::from_be_bytes(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()));
    routes.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (interface, destination, mask) = (fields.first()?, fields.get(1)?, fields.get(7)?);
        Some(Route { interface, destination: number(destination)?, mask: number(mask)? })
    })
}

/// The interface that leads everywhere.
fn default_interface(routes: &str) -> Option<&str> {
    lines(routes).find(|route| route.mask == 0).map(|route| route.interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth1\t0000D30A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn a_network_that_the_host_uses_is_not_taken() {
        assert!(overlaps(ROUTES, Ipv4Addr::new(10, 211, 0, 0)));
        assert!(!overlaps(ROUTES, Ipv4Addr::new(172, 29, 0, 0)));
        assert!(overlaps("header\ntun\t0000000A\t0\t1\t0\t0\t0\t000000FF\t0", Ipv4Addr::new(10, 211, 0, 0)));
    }

    #[test]
    fn the_way_out_is_the_route_to_everywhere() {
        assert_eq!(default_interface(ROUTES), Some("eth0"));
        assert_eq!(default_interface("header\n"), None);
    }
}
