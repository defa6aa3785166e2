//! Which addresses a tracker may have: a name from a stranger's torrent must not reach into our own
//! net.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Whether `ip` belongs to the public internet: not loopback, private, link-local, shared,
/// multicast, reserved or unspecified. IPv4 inside IPv6 (mapped, 6to4, NAT64) counts as what it
/// carries.
pub(crate) fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => match carried_v4(v6) {
            Some(v4) => is_global_v4(v4),
            None => is_global_v6(v6),
        },
    }
}

/// Whether a URL's host was itself meant to be near us: an address that is not global, written as
/// such, or a name that never leaves the machine or the local net (RFC 6761, RFC 6762). Who writes
/// `http://192.168.1.5/` chose that address; who writes a global name did not.
pub(crate) fn is_local_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return !is_global(ip);
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    let top = name.rsplit('.').next().unwrap_or("");
    top == "localhost" || top == "local"
}

/// Whether the host named in an announce URL may be reached at `ip`.
pub(crate) fn may_reach(host: &str, ip: IpAddr, allow_private: bool) -> bool {
    let is_target = !ip.is_unspecified() && !ip.is_multicast();
    is_target && (allow_private || is_global(ip) || is_local_host(host))
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && (64..128).contains(&b); // RFC 6598, carrier-grade NAT
    let is_protocol = a == 192 && b == 0 && c == 0; // RFC 6890
    let is_benchmark = a == 198 && (b == 18 || b == 19); // RFC 2544
    let is_reserved = a == 0 || a >= 240;
    !(ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || is_shared
        || is_protocol
        || is_benchmark
        || is_reserved)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let is_global_unicast = (0x2000..0x4000).contains(&first); // RFC 4291: 2000::/3
    let is_documentation = first == 0x2001 && second == 0x0db8;
    is_global_unicast && !is_documentation
}

/// The IPv4 address that a transition address stands for.
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)), // RFC 6052
        [0x2002, high, low, ..] => Some(join(high, low)),               // RFC 3056
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_global() {
        let rows = [
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("198.18.0.1", false),
            ("2a00:1450::1", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::7f00:1", false),
            ("2002:7f00:1::", false),
            ("2001:db8::1", false),
        ];
        for (text, expected) in rows {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(is_global(ip), expected, "{text}");
        }
    }

    #[test]
    fn a_global_name_never_leads_home_and_a_written_address_does() {
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        let lan: IpAddr = "192.168.1.5".parse().unwrap();
        let global: IpAddr = "1.1.1.1".parse().unwrap();
        let rows = [
            ("tracker.example.org", home, false, false),
            ("tracker.example.org", lan, false, false),
            ("tracker.example.org", lan, true, true),
            ("tracker.example.org", global, false, true),
            ("127.0.0.1", home, false, true),
            ("192.168.1.5", lan, false, true),
            ("[::1]", home, false, true),
            ("localhost", home, false, true),
            ("Tracker.LocalHost.", home, false, true),
            ("nas.local", lan, false, true),
            ("localhost.example.org", home, false, false),
            ("8.8.8.8", home, false, false),
            ("localhost", "0.0.0.0".parse().unwrap(), true, false),
        ];
        for (host, ip, allow, expected) in rows {
            assert_eq!(may_reach(host, ip, allow), expected, "{host} at {ip}, allowed: {allow}");
        }
    }
}
