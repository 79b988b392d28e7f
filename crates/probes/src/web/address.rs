//! Which addresses are not of the public Internet. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused, as words for people: "a loopback address".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Private {
    pub(super) what: &'static str,
    /// Whoever reaches it may get the machine's credentials: a listed name is not enough, the
    /// address itself has to be listed.
    pub(super) metadata: bool,
}

/// The IPv4 address that an IPv6 address stands for, where it stands for one.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => embedded(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// IPv4-mapped (`::ffff:a.b.c.d`), IPv4-compatible (`::a.b.c.d`), NAT64 (`64:ff9b::a.b.c.d`) and
/// 6to4 (`2002:aabb:ccdd::`): packets to these may end at the IPv4 address within.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        // `::` and `::1` are judged as they are.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b]
        | [0x64, 0xff9b, 0, 0, 0, 0, a, b]
        | [0x2002, a, b, ..] => Some(low(a, b)),
        _ => None,
    }
}

/// What kind of address this is, if it is not one of the public Internet.
pub(super) fn private(ip: IpAddr) -> Option<Private> {
    let (what, metadata) = match canonical(ip) {
        IpAddr::V4(ip) => private_v4(ip)?,
        IpAddr::V6(ip) => private_v6(ip)?,
    };
    Some(Private { what, metadata })
}

fn private_v4(ip: Ipv4Addr) -> Option<(&'static str, bool)> {
    let [a, b, c, _] = ip.octets();
    let found = match ip.octets() {
        // Clouds that put their metadata service outside of link-local.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => {
            ("the metadata address of a cloud", true)
        }
        _ if ip.is_link_local() => ("a link-local address", true),
        _ if ip.is_loopback() => ("a loopback address", false),
        _ if ip.is_private() => ("a private address", false),
        _ if a == 0 => ("an unspecified address", false),
        _ if a == 100 && b & 0xc0 == 64 => ("a carrier's private address", false),
        _ if ip.is_broadcast() => ("a broadcast address", false),
        _ if ip.is_multicast() => ("a multicast address", false),
        _ if a >= 240 || ip.is_documentation() => ("a reserved address", false),
        _ if a == 192 && b == 0 && c == 0 => ("a reserved address", false),
        _ if a == 198 && b & 0xfe == 18 => ("a reserved address", false),
        _ => return None,
    };
    Some(found)
}

fn private_v6(ip: Ipv6Addr) -> Option<(&'static str, bool)> {
    let found = match ip.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => ("the metadata address of a cloud", true),
        [first, ..] if first & 0xffc0 == 0xfe80 => ("a link-local address", true),
        _ if ip.is_loopback() => ("a loopback address", false),
        _ if ip.is_unspecified() => ("an unspecified address", false),
        _ if ip.is_multicast() => ("a multicast address", false),
        [first, ..] if first & 0xfe00 == 0xfc00 => ("a private address", false),
        // Site-local, the private addresses of old.
        [first, ..] if first & 0xffc0 == 0xfec0 => ("a private address", false),
        // A network's own NAT64, Teredo, discard, documentation: what is behind can't be told.
        [0x64, 0xff9b, 1, ..]
        | [0x2001, 0 | 0xdb8, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x3fff, 0..=0xfff, ..] => ("a reserved address", false),
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_asked() {
        for (address, word) in [
            ("127.0.0.1", "loopback"),
            ("127.9.9.9", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier"),
            ("100.127.255.255", "carrier"),
            ("100.100.100.200", "metadata"),
            ("168.63.129.16", "metadata"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.250", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("240.0.0.1", "reserved"),
            ("198.19.0.1", "reserved"),
            ("192.0.0.8", "reserved"),
            ("203.0.113.9", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.1.1", "private"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::169.254.169.254", "link-local"),
            ("64:ff9b:1::1", "reserved"),
            ("2002:7f00:1::", "loopback"),
            ("2001:0:1::1", "reserved"),
            ("2001:db8::1", "reserved"),
        ] {
            let why = private(address.parse().unwrap()).unwrap_or_else(|| panic!("{address}"));
            assert!(why.what.contains(word), "{address}: {}", why.what);
        }
        for public in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "::ffff:8.8.8.8",
            "2002:808:808::",
        ] {
            assert_eq!(private(public.parse().unwrap()), None, "{public}");
        }
    }
}
