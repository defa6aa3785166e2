//! Network interfaces: the addresses behind a name like `eth0`.

use std::ffi::CStr;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::ptr;

/// The addresses of the interface called `name`, in the system's order; none if there is no such
/// interface. IPv6 link-local addresses are left out: they mean nothing without a scope. Does not
/// block.
///
/// # Errors
/// What the system says when it cannot list its interfaces.
pub fn interface_addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is a valid place for one pointer; on success it leads to a list that is ours
    // until `freeifaddrs` below, and nothing of it is kept beyond that.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut at = list;
    // SAFETY: each node of the list is either null, which ends it, or valid until it is freed.
    while let Some(node) = unsafe { at.as_ref() } {
        // SAFETY: the system ends every interface name with a zero byte.
        let is_it = unsafe { CStr::from_ptr(node.ifa_name) }.to_bytes() == name.as_bytes();
        if is_it {
            addresses.extend(ip_of(node.ifa_addr));
        }
        at = node.ifa_next;
    }
    // SAFETY: `list` came from `getifaddrs` above and is freed exactly once.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: an interface's address is null or a valid sockaddr, whose family says how long it is.
    // The reads are unaligned-safe copies of that length.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))))
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                (!ip.is_unicast_link_local()).then_some(IpAddr::V6(ip))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address_and_a_made_up_one_has_none() {
        let lo = interface_addresses("lo").unwrap();
        assert!(lo.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{lo:?}");
        assert!(interface_addresses("nonesuch0").unwrap().is_empty());
    }
}
