//! Whom a connection trusts in place of the authorities browsers trust: those its operator names, and nobody else.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// An operator hands over one certificate, or two while one takes the other's place.
const MOST: usize = 10;

/// Certificate authorities of one connection. Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<ClientConfig>);

impl Authority {
    /// One certificate or several, in PEM. `Err` is the rule that was broken; it fits after the name of the file.
    pub fn parse(pem: &str) -> Result<Self, &'static str> {
        let found = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST + 1).collect::<Result<Vec<_>, _>>();
        let found = found.ok().filter(|found| !found.is_empty()).ok_or("has no certificate in PEM")?;
        if found.len() > MOST {
            return Err("has more than ten certificates; give those of the partner");
        }
        let mut roots = RootCertStore::empty();
        for certificate in found {
            roots.add(certificate).map_err(|_| "has a certificate that cannot be trusted as an authority")?;
        }
        client(roots).map(|config| Self(Arc::new(config))).map_err(|_| "cannot be used for TLS")
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

/// TLS of this host: whoever `roots` vouch for, HTTP/1.1.
pub(crate) fn client(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// The very same one.
impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Authority {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_with_the_reason() {
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, rule) in [
            ("", "no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate"),
            (junk, "cannot be trusted"),
            (&junk.repeat(11), "more than ten"),
        ] {
            let refused = Authority::parse(pem).expect_err(rule);
            assert!(refused.contains(rule), "{refused}");
        }
    }
}
