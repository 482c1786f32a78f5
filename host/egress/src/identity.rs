//! A client's certificate, shown when a connection is made.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A certificate with its key. Cheap to clone; prints as nothing.
#[derive(Clone)]
pub struct Identity(Option<Arc<CertifiedKey>>);

impl Identity {
    /// For a wire nobody connects over.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// A chain, the client's own certificate first, and its private key, both in PEM. `Err` is the rule that was broken.
    pub(crate) fn parse(chain: &str, key: &str) -> Result<Self, &'static str> {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or("has no certificate in PEM")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "has no private key in PEM")?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider);
        certified
            .map(|key| Self(Some(Arc::new(key))))
            .map_err(|_| "has a certificate and a private key that do not fit")
    }

    pub(crate) fn key(&self) -> Option<&Arc<CertifiedKey>> {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// The very same one.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Identity {}
