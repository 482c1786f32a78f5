//! Where this host itself answers. An adapter that calls its own host, by any name, could feed itself work or reach
//! another tenant's hook: refused by origin, by the address dialled, and by a mark on every request for what comes back
//! through somebody else.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use http::HeaderValue;
use url::Url;

/// The host's own places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Listening sockets; an unspecified address stands for every address of the machine.
    pub listen: Vec<SocketAddr>,
    /// Origins the world reaches the host under, `https://host` or `https://host:port`.
    pub advertised: Vec<String>,
    /// Names this installation in `Via` (RFC 9110, 7.6.3): letters, digits and `-`. Absent: no mark.
    pub mark: Option<String>,
}

impl Own {
    /// Whoever asks for an advertised origin asks for this host.
    pub(crate) fn is_advertised(&self, url: &Url) -> bool {
        self.advertised.iter().filter_map(|own| Url::parse(own).ok()).any(|own| {
            let name = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_owned());
            // The scheme does not matter: the same listener may be behind both.
            name(&own) == name(url) && own.port_or_known_default() == url.port_or_known_default()
        })
    }

    /// Does this address end at a listener of this host?
    pub(crate) fn listens_at(&self, addr: SocketAddr) -> bool {
        self.listen.iter().filter(|own| own.port() == addr.port()).any(|own| {
            let inside = || addr.ip().is_loopback() || addr.ip().is_unspecified() || is_local(addr.ip());
            own.ip() == addr.ip() || (own.ip().is_unspecified() && inside())
        })
    }

    /// The value of the `Via` header.
    pub(crate) fn via(&self) -> Option<HeaderValue> {
        self.mark.as_deref().and_then(|mark| HeaderValue::from_str(&format!("1.1 {mark}")).ok())
    }
}

/// Is it an address of this machine? The kernel chooses the address itself as the way's own end then. No packet leaves.
fn is_local(ip: IpAddr) -> bool {
    let any: SocketAddr = match ip {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let own_end = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(any)?;
        socket.connect((ip, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    own_end().is_ok_and(|own| own == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_origin_is_the_host_under_any_spelling() {
        let own = Own { advertised: vec!["https://wharf.example".to_owned()], ..Own::default() };
        for (url, is) in [
            ("https://wharf.example/hooks", true),
            ("https://WHARF.example.:443/", true),
            ("http://wharf.example:443/", true),
            ("https://wharf.example:8443/", false),
            ("https://www.wharf.example/", false),
        ] {
            assert_eq!(own.is_advertised(&Url::parse(url).expect(url)), is, "{url}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_found_at_every_address_of_the_machine() {
        let at = |text: &str| -> SocketAddr { text.parse().expect(text) };
        let everywhere = Own { listen: vec![at("0.0.0.0:8080")], ..Own::default() };
        let inside = Own { listen: vec![at("127.0.0.1:8080")], ..Own::default() };
        for (own, addr, is) in [
            (&everywhere, "127.0.0.1:8080", true),
            (&everywhere, "127.9.9.9:8080", true),
            (&everywhere, "[::1]:8080", true),
            (&everywhere, "127.0.0.1:8081", false),
            // Unassigned: no machine has it.
            (&everywhere, "[3fff:ffff::1]:8080", false),
            (&inside, "127.0.0.1:8080", true),
            (&inside, "10.0.0.1:8080", false),
        ] {
            assert_eq!(own.listens_at(at(addr)), is, "{addr}");
        }
        assert!(is_local(IpAddr::from([127, 0, 0, 1])));
    }
}
