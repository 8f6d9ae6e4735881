//! Netlink: requests to the kernel about interfaces, addresses, routes and packet filters, each answered before the next.
//!
//! A socket belongs to the network namespace of the thread that opened it, whoever uses it later, one at a time.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with};

/// Flags of a request (`NLM_F_*`).
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// For what is made: it must not exist.
const CREATE: u16 = 0x400 | 0x200;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
/// Bytes of one answer, which may repeat the question, and of a part of a list, at most.
const ANSWER: usize = 8 << 10;
const LIST: usize = 64 << 10;
/// Kinds of answers.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// An open socket.
pub(super) struct Netlink {
    socket: OwnedFd,
    /// Held from a question to its answer.
    asking: Mutex<()>,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where an interface is looked up, or which one: its number in its namespace.
#[derive(Clone, Copy)]
pub(super) struct Index(pub(super) u32);

/// One answer of a dump: its header is cut off.
pub(super) type Answer = Vec<u8>;

impl Netlink {
    /// Opens a socket for interfaces, addresses and routes in this thread's network namespace.
    pub(super) fn route() -> io::Result<Self> {
        // The protocol of number 0.
        Self::open(None)
    }

    /// Opens a socket for packet filters.
    pub(super) fn filter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { socket, asking: Mutex::default() })
    }

    /// Makes a bridge.
    pub(super) fn add_bridge(&self, name: &str, index: Index) -> io::Result<()> {
        let mut message = Message::link(RTM_NEWLINK, CREATE, index);
        message.text(IFLA_IFNAME, name);
        message.nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
        self.ask(&message)
    }

    /// Makes a pair of interfaces, one of them in another namespace. Number 0 leaves it to the kernel; of the one there, the
    /// kernel heeds the number only where that of the one here is said, too.
    ///
    /// They are said to have one queue each: a kernel that is not told makes one for every processor, takes all but one away
    /// again, and waits until no processor can be using them, a millisecond for each interface.
    pub(super) fn add_pair(
        &self,
        here: (&str, Index),
        there: (&str, Index),
        namespace: BorrowedFd<'_>,
        mtu: u32,
    ) -> io::Result<()> {
        let mut message = Message::link(RTM_NEWLINK, CREATE, here.1);
        message.text(IFLA_IFNAME, here.0);
        message.end_of_pair(mtu);
        message.nest(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
            info.nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.bytes(&link_header(0, there.1));
                    peer.text(IFLA_IFNAME, there.0);
                    peer.end_of_pair(mtu);
                    peer.number(IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
                });
            });
        });
        self.ask(&message)
    }

    /// Brings an interface up.
    pub(super) fn bring_up(&self, name: &str) -> io::Result<()> {
        let mut message = Message::link_with_flags(IFF_UP);
        message.text(IFLA_IFNAME, name);
        self.ask(&message)
    }

    /// Puts an interface under a bridge and brings it up.
    pub(super) fn enslave(&self, name: &str, bridge: Index) -> io::Result<()> {
        let mut message = Message::link_with_flags(IFF_UP);
        message.text(IFLA_IFNAME, name);
        message.number(IFLA_MASTER, bridge.0);
        self.ask(&message)
    }

    /// Keeps an interface of a bridge from the other isolated ones.
    pub(super) fn isolate(&self, index: Index) -> io::Result<()> {
        let mut message = Message::new(RTM_SETLINK, 0);
        message.bytes(&link_header(AF_BRIDGE, index));
        message.nest(IFLA_PROTINFO, |port| port.attribute(IFLA_BRPORT_ISOLATED, &[1]));
        self.ask(&message)
    }

    /// Has the kernel see that an interface has a link now, by asking for it: else it sees to that when it gets round to it,
    /// and until then a bridge passes nothing on to the interface. Those before 6.9 get round to it all the same.
    pub(super) fn settle(&self, index: Index) -> io::Result<()> {
        self.ask(&Message::link(RTM_GETLINK, 0, index))
    }

    /// Lets packets that come in through an interface go on to others.
    pub(super) fn forward(&self, name: &str) -> io::Result<()> {
        let mut message = Message::link(RTM_SETLINK, 0, Index(0));
        message.text(IFLA_IFNAME, name);
        message.nest(IFLA_AF_SPEC, |families| {
            families.nest(AF_INET.into(), |inet| {
                inet.nest(IFLA_INET_CONF, |conf| conf.number(IPV4_DEVCONF_FORWARDING, 1));
            });
        });
        self.ask(&message)
    }

    /// Gives an interface an address in a network of a prefix length.
    pub(super) fn add_address(&self, index: Index, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWADDR, CREATE);
        message.bytes(&[AF_INET, prefix, 0, 0]);
        message.bytes(&index.0.to_ne_bytes());
        message.attribute(IFA_LOCAL, &address.octets());
        message.attribute(IFA_ADDRESS, &address.octets());
        self.ask(&message)
    }

    /// Sends everything that has no other way to a gateway.
    pub(super) fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWROUTE, CREATE);
        // Lengths of destination and source, service; table main, by hand, everywhere, to one host.
        message.bytes(&[AF_INET, 0, 0, 0, 254, 3, 0, 1]);
        message.bytes(&[0; 4]);
        message.attribute(RTA_GATEWAY, &gateway.octets());
        self.ask(&message)
    }

    /// The number of an interface.
    pub(super) fn index(&self, name: &str) -> io::Result<Index> {
        // SAFETY: zero is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        // SAFETY: the request outlives the call and is what SIOCGIFINDEX fills in.
        if unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFINDEX as _, &raw mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just written this member.
        Ok(Index(unsafe { request.ifr_ifru.ifru_ifindex }.cast_unsigned()))
    }

    /// Sends messages that are one transaction; each that asked for it is answered.
    pub(super) fn ask_all(&self, messages: &[Message]) -> io::Result<()> {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::finished).collect();
        let _turn = self.turn();
        self.send(&bytes)?;
        let answers = messages.iter().filter(|message| message.flags & ACK != 0).count();
        let mut first = Ok(());
        let mut seen = 0;
        while seen < answers {
            for (kind, body) in self.receive(ANSWER)? {
                if kind == ERROR {
                    seen += 1;
                    first = first.and_then(|()| error_of(&body));
                }
            }
        }
        first
    }

    fn ask(&self, message: &Message) -> io::Result<()> {
        self.ask_all(std::slice::from_ref(message))
    }

    /// Asks for a list.
    pub(super) fn dump(&self, mut message: Message) -> io::Result<Vec<Answer>> {
        message.flags = REQUEST | DUMP;
        let _turn = self.turn();
        self.send(&message.finished())?;
        let mut answers = Vec::new();
        loop {
            for (kind, body) in self.receive(LIST)? {
                match kind {
                    DONE => return Ok(answers),
                    ERROR => return error_of(&body).map(|()| answers),
                    _ => answers.push(body),
                }
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().expect("no panic while it is held")
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(rustix::net::send(&self.socket, bytes, SendFlags::empty()).map(drop)?)
    }

    fn receive(&self, room: usize) -> io::Result<Vec<(u16, Answer)>> {
        let mut buffer = vec![0; room];
        let (length, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        Ok(split(&buffer[..length]))
    }
}

/// Takes a packet apart into messages.
fn split(mut rest: &[u8]) -> Vec<(u16, Answer)> {
    let mut messages = Vec::new();
    while let Some((header, _)) = rest.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(body) = rest.get(HEADER..length) else { break };
        messages.push((u16::from_ne_bytes([header[4], header[5]]), body.to_vec()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

fn error_of(body: &[u8]) -> io::Result<()> {
    let Some(code) = body.first_chunk::<4>() else { return Err(io::ErrorKind::InvalidData.into()) };
    match i32::from_ne_bytes(*code) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

/// The attributes of a message's rest: number and value.
pub(super) fn attributes(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some((header, _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(value) = rest.get(4..length) else { break };
        found.push((u16::from_ne_bytes([header[2], header[3]]) & !NESTED, value));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// Bytes of a message's header.
const HEADER: usize = 16;

/// A message in the making.
pub(super) struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    /// One that is answered.
    pub(super) fn new(kind: u16, flags: u16) -> Self {
        Self { kind, flags: flags | REQUEST | ACK, body: Vec::new() }
    }

    /// One that only begins or ends a transaction.
    pub(super) fn unanswered(kind: u16) -> Self {
        Self { kind, flags: REQUEST, body: Vec::new() }
    }

    fn link(kind: u16, flags: u16, index: Index) -> Self {
        let mut message = Self::new(kind, flags);
        message.bytes(&link_header(0, index));
        message
    }

    fn link_with_flags(flags: u32) -> Self {
        let mut message = Self::new(RTM_SETLINK, 0);
        message.bytes(&link_header(0, Index(0))[..8]);
        message.bytes(&flags.to_ne_bytes());
        message.bytes(&flags.to_ne_bytes());
        message
    }

    /// Adds what both interfaces of a pair have.
    fn end_of_pair(&mut self, mtu: u32) {
        [(IFLA_MTU, mtu), (IFLA_NUM_TX_QUEUES, 1), (IFLA_NUM_RX_QUEUES, 1)]
            .into_iter()
            .for_each(|(kind, number)| self.number(kind, number));
    }

    /// Adds bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    /// Adds an attribute.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("attributes are short");
        self.bytes(&length.to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(value);
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }

    /// Adds a text, ended by a zero.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    /// Adds a number as this machine writes it.
    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }

    /// Adds a number as networks write it.
    pub(super) fn big_number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    /// Adds an attribute that holds attributes.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self { kind: 0, flags: 0, body: Vec::new() };
        fill(&mut inner);
        self.attribute(kind | NESTED, &inner.body);
    }

    fn finished(&self) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.body.len()).expect("messages are short");
        let mut bytes = Vec::with_capacity(length as usize);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        // One request at a time needs no number; port 0 is the kernel's to fill in.
        bytes.extend([0; 8]);
        bytes.extend(&self.body);
        bytes
    }
}

/// `struct ifinfomsg`.
fn link_header(family: u8, Index(index): Index) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

pub(super) const AF_INET: u8 = libc::AF_INET as u8;
const AF_BRIDGE: u8 = libc::AF_BRIDGE as u8;
const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INET_CONF: u16 = 1;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const IPV4_DEVCONF_FORWARDING: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_GATEWAY: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut message = Message::new(7, 0);
        message.text(3, "lo");
        message.nest(18, |inner| inner.big_number(1, 5));
        let bytes = message.finished();
        let [(kind, body)] = split(&bytes).try_into().unwrap();
        assert_eq!((kind, bytes.len() % 4), (7, 0));
        let found = attributes(&body);
        assert_eq!(found[0], (3, &b"lo\0"[..]));
        assert_eq!(attributes(found[1].1), [(1, &[0, 0, 0, 5][..])]);
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        assert!(split(&[20, 0, 0, 0, 1, 0]).is_empty());
        assert!(attributes(&[9, 0, 1, 0, 1]).is_empty());
    }
}
