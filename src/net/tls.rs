//! TLS as rustls has it by default: 1.2 and 1.3, no early data (a replayed request would run a
//! function twice). The crypto provider is named, for the process's default is nobody's choice.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{Roots, Upstream};

/// Why targets cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The machine has no certificates of its own.
    #[error("the system's certificates cannot be read")]
    SystemRoots(#[source] std::io::Error),
    /// `upstream.ca_file` holds something else.
    #[error("`upstream.ca_file` holds no certificate")]
    NoCertificate,
    /// A certificate that rustls does not take.
    #[error("a certificate in `upstream.ca_file` is malformed")]
    Certificate(#[source] rustls::Error),
    /// TLS itself.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// `upstream.proxy`.
    #[error("`upstream.proxy` is no http URL")]
    Proxy,
}

/// The TLS settings for every connection.
pub(super) fn config(upstream: &Upstream) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    let builder = match (&upstream.ca_pem, upstream.roots) {
        (None, Roots::BuiltIn) => builder.with_webpki_roots(),
        (None, Roots::System) => builder.with_native_roots().map_err(SetupError::SystemRoots)?,
        (Some(pem), roots) => builder.with_root_certificates(with_own(pem, roots)?),
    };
    Ok(builder.with_no_client_auth())
}

/// The roots, and the certificates of a file besides.
fn with_own(pem: &[u8], roots: Roots) -> Result<RootCertStore, SetupError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::BuiltIn => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| SetupError::NoCertificate)?;
        store.add(certificate).map_err(SetupError::Certificate)?;
    }
    if store.len() == before { Err(SetupError::NoCertificate) } else { Ok(store) }
}
