//! TLS towards LDAP servers: always verified, by the authorities of one file or by the system's.
//!
//! The provider is named in full: what another crate makes the process's default is not ours to trust.

use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use super::origin::TlsFiles;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("{file} holds no usable PEM: {source}")]
    Pem {
        /// By its key in the configuration.
        file: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There are no certificates in it.
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    /// rustls refuses.
    #[error("tls: {0}")]
    Refused(#[from] rustls::Error),
}

/// The settings every connection of a directory uses.
pub(super) fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match &files.ca {
        Some(bytes) => configured(bytes)?,
        None => native(),
    };
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match &files.client {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|source| TlsError::Pem { file: "key_file", source })?;
            builder.with_client_auth_cert(certificates("certificate_file", chain)?, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn configured(bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", bytes)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(file: &'static str, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let parsed = parsed.map_err(|source| TlsError::Pem { file, source })?;
    if parsed.is_empty() { Err(TlsError::Empty(file)) } else { Ok(parsed) }
}

/// One certificate of the system that cannot be read must not cost all the others.
fn native() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(error = error.to_string(), "a certificate of the system cannot be used");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::warn!(ignored, "certificates of the system that cannot be used");
    }
    roots
}
