//! Networks and names.

use std::collections::BTreeSet;
use std::fs;

use executor::runtime::{Network, Runtime, Spec};

use super::{wait_for, way_out};
use crate::rig::{Rig, each, stdout};

#[test]
fn without_network_there_is_a_loopback_only() {
    each(|runtime| {
        let rig = Rig::new();
        let script = "ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1; nc -l -p 8000 -e echo hi & sleep 0.3; nc 127.0.0.1 8000";
        let spec = Spec { network: Network::None, ..rig.sh(script) };
        assert_eq!(stdout(runtime, &spec), "1\n1\nhi\n");
    });
}

#[test]
fn a_sandbox_reaches_the_outside_and_nothing_reaches_it() {
    // Not on loopback, which a sandbox must not see: the host's own address is what the outside is.
    let outside = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    outside.connect("192.0.2.250:9").unwrap();
    let address = outside.local_addr().unwrap().ip();
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    let hidden = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, hidden) = (listener.local_addr().unwrap().port(), hidden.local_addr().unwrap().port());
    // Interfaces of other processes come and go meanwhile; who comes to the listener says which are this one's.
    let ways_out = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = ways_out.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let std::net::IpAddr::V4(from) = client.peer_addr().unwrap().ip() else { continue };
            seen.lock().unwrap().push(way_out((from.to_bits() - u32::from_be_bytes([10, 212, 0, 0])) / 4));
            let _ = std::io::Write::write_all(&mut &client, b"outside\n");
        }
    });
    each(|runtime| {
        let rig = Rig::new();
        let script = format!(
            "nc -w 5 {address} {port} </dev/null; nc -w 2 127.0.0.1 {hidden} </dev/null 2>/dev/null || echo hidden; \
             ip -o link | wc -l"
        );
        let sandbox = || Spec { network: Network::Sandbox, ..rig.sh(&script) };
        assert_eq!(stdout(runtime, &sandbox()), "outside\nhidden\n2\n");
        assert!(ways_out.lock().unwrap().last().unwrap().exists());
        // Two at once have addresses of their own and do not see each other.
        let server = Spec {
            network: Network::Sandbox,
            ..rig.sh(
                "ip -o -4 addr show eth0 | awk '{print $4}' > /tmp/a; nc -l -p 81 -w 3 </dev/null 2>/dev/null; true",
            )
        };
        std::thread::scope(|scope| {
            scope.spawn(|| stdout(runtime, &server));
            wait_for("the other's address", || {
                fs::read_to_string(rig.root().join("tmp/a")).is_ok_and(|a| !a.is_empty())
            });
            let other = fs::read_to_string(rig.root().join("tmp/a")).unwrap();
            let other = other.trim().split('/').next().unwrap().to_owned();
            let client =
                Spec { network: Network::Sandbox, ..rig.sh(&format!("nc -w 1 {other} 81 </dev/null 2>&1 || echo no")) };
            let said = stdout(runtime, &client);
            assert!(said.ends_with("no\n"), "{said}");
        });
    });
    wait_for("the ways out to go", || !ways_out.lock().unwrap().iter().any(|way| way.exists()));
}

#[test]
fn each_of_several_in_a_row_has_a_network_of_its_own() {
    each(|runtime| {
        let rig = Rig::new();
        let addresses: BTreeSet<_> = (0..4).map(|_| address(runtime, &rig)).collect();
        assert_eq!(addresses.len(), 4, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ends_with("/16\n1\n0\n")), "{addresses:?}");
    });
}

/// What a process says of its network: its address, how many ways out there are, and how many addresses of IPv6 but the
/// loopback's.
fn address(runtime: &dyn Runtime, rig: &Rig) -> String {
    let look = "ip -o -4 addr show eth0 | awk '{print $4}'; ip route | grep -c default; \
                cat /proc/net/if_inet6 2>/dev/null | grep -v lo$ | wc -l";
    stdout(runtime, &Spec { network: Network::Sandbox, ..rig.sh(look) })
}

#[test]
fn processes_that_were_expected_are_like_others() {
    each(|runtime| {
        let rig = Rig::new();
        [false, true, true].into_iter().for_each(|sandbox| runtime.expect(sandbox));
        let addresses: BTreeSet<_> = (0..3).map(|_| address(runtime, &rig)).collect();
        assert_eq!(addresses.len(), 3, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ends_with("/16\n1\n0\n")), "{addresses:?}");
    });
    // Nobody comes.
    each(|runtime| runtime.expect(true));
}

#[test]
fn names_and_hosts() {
    each(|runtime| {
        let rig = Rig::new();
        assert_eq!(stdout(runtime, &rig.sh("hostname")), "buildkitsandbox\n");
        let mut spec = rig.sh("hostname; cat /etc/hosts; touch /etc/hosts 2>/dev/null || echo ro");
        spec.hostname = "box".into();
        spec.extra_hosts = vec![("db".into(), "10.1.2.3".into())];
        let want = "box\n127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tdb\nro\n";
        assert_eq!(stdout(runtime, &spec), want);
        assert!(stdout(runtime, &rig.sh("cat /etc/resolv.conf")).starts_with("nameserver "));
    });
}
