//! Packet filters (nftables): hiding a network behind the address of whoever forwards for it, and finding filters of
//! others that would stop that.

use std::io;
use std::net::Ipv4Addr;

use super::netlink::{AF_INET, Message, Netlink, attributes};

/// The subsystem of nftables, and its messages.
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = NFTABLES << 8;
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const GET_CHAIN: u16 = NFTABLES << 8 | 4;
const NEW_RULE: u16 = NFTABLES << 8 | 6;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// How long a table lasts.
#[derive(Clone, Copy)]
pub(super) enum Lasts {
    /// As long as its network namespace.
    LikeItsNamespace,
    /// Until the last process closes the socket that made it, however it ends. Closing waits for the kernel: milliseconds.
    LikeItsSocket,
}

impl Lasts {
    fn flags(self) -> u32 {
        match self {
            Self::LikeItsNamespace => 0,
            // `NFT_TABLE_F_OWNER`.
            Self::LikeItsSocket => 2,
        }
    }
}

/// Where packets leave the machine, and where they pass through it.
const POSTROUTING: u32 = 4;
const FORWARD: u32 = 2;
/// When sources are translated there.
const SOURCE_NAT: u32 = 100;
/// `NF_DROP`.
const DROP: u32 = 0;
/// The register that values are compared in.
const REGISTER: u32 = 1;

/// Translates the sources of everything that comes from a network.
pub(super) fn masquerade(
    socket: &Netlink,
    (table, lasts): (&str, Lasts),
    network: Ipv4Addr,
    prefix: u8,
) -> io::Result<()> {
    const CHAIN: &str = "postrouting";
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    socket.ask_all(&[
        batch(BATCH_BEGIN),
        command(NEW_TABLE, CREATE, |m| {
            m.text(1, table);
            m.big_number(2, lasts.flags());
        }),
        command(NEW_CHAIN, CREATE, |m| {
            m.text(1, table);
            m.text(3, CHAIN);
            m.nest(4, |hook| {
                hook.big_number(1, POSTROUTING);
                hook.big_number(2, SOURCE_NAT);
            });
            m.text(7, "nat");
        }),
        command(NEW_RULE, CREATE | APPEND, |m| {
            m.text(1, table);
            m.text(2, CHAIN);
            m.nest(4, |rule| {
                expression(rule, "payload", |e| {
                    e.big_number(1, REGISTER);
                    // The source in the header of the network layer.
                    [(2, 1), (3, 12), (4, 4)].into_iter().for_each(|(kind, number)| e.big_number(kind, number));
                });
                expression(rule, "bitwise", |e| {
                    [(1, REGISTER), (2, REGISTER), (3, 4)]
                        .into_iter()
                        .for_each(|(kind, number)| e.big_number(kind, number));
                    e.nest(4, |value| value.big_number(1, mask));
                    e.nest(5, |value| value.big_number(1, 0));
                });
                expression(rule, "cmp", |e| {
                    e.big_number(1, REGISTER);
                    e.big_number(2, 0);
                    e.nest(3, |value| value.big_number(1, u32::from(network) & mask));
                });
                expression(rule, "masq", |_| ());
            });
        }),
        batch(BATCH_END),
    ])
}

fn expression(rule: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    rule.nest(1, |element| {
        element.text(1, name);
        element.nest(2, fill);
    });
}

fn batch(kind: u16) -> Message {
    let mut message = Message::unanswered(kind);
    message.bytes(&[0, 0, 0, NFTABLES as u8]);
    message
}

fn command(kind: u16, flags: u16, fill: impl FnOnce(&mut Message)) -> Message {
    let mut message = Message::new(kind, flags);
    message.bytes(&[AF_INET, 0, 0, 0]);
    fill(&mut message);
    message
}

/// A chain that drops what passes through this machine unless a rule says otherwise: its table and its name.
pub(super) type Dropping = (String, String);

/// The chains that drop what is forwarded. No list is no chain: a kernel without nftables has none.
pub(super) fn dropping(socket: &Netlink) -> Vec<Dropping> {
    let mut message = Message::unanswered(GET_CHAIN);
    message.bytes(&[0, 0, 0, 0]);
    let chains = socket.dump(message).unwrap_or_default();
    chains.iter().filter_map(|chain| dropping_chain(chain.get(4..)?)).collect()
}

fn dropping_chain(body: &[u8]) -> Option<Dropping> {
    let found = attributes(body);
    let value =
        |list: &[(u16, &[u8])], kind| list.iter().find(|(found, _)| *found == kind).map(|(_, value)| value.to_vec());
    let number = |value: Vec<u8>| Some(u32::from_be_bytes(*value.first_chunk()?));
    let text = |value: Vec<u8>| String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(&value)).into_owned();
    let hook = value(&found, 4)?;
    let is_forward = number(value(&attributes(&hook), 1)?)? == FORWARD;
    let drops = number(value(&found, 5)?)? == DROP;
    (is_forward && drops).then(|| Some((text(value(&found, 1)?), text(value(&found, 3)?)))).flatten()
}
