//! TLS as registries are reached with it: rustls with ring, and the certificates that the machine trusts.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

/// Where certificate authorities for one registry are kept, in a folder of the registry's name.
///
/// Source: containers-certs.d(5); <https://docs.docker.com/engine/security/certificates/>.
const CERTIFICATE_FOLDERS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// A configuration that trusts what the machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` replace that) and
/// some certificates of one registry's own.
///
/// The provider is named rather than installed for the process, which belongs to whoever embeds this library.
pub(super) fn checked(own: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let trusted: HashSet<CertificateDer<'static>> =
        found.certs.into_iter().chain(own.iter().cloned()).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "this machine has no trusted root certificates{why}: install them (package ca-certificates), or name \
             a file of them in SSL_CERT_FILE"
        ));
    }
    let provider = Arc::new(ring::default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(Trusted { chain, trusted });
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(config)
}

/// The certificate authorities that this machine has for the registry `host` alone.
pub(super) fn certificates_for(host: &str) -> Vec<CertificateDer<'static>> {
    CERTIFICATE_FOLDERS.iter().flat_map(|folder| certificates_in(&Path::new(folder).join(host))).collect()
}

/// The certificates in the `.crt` files of a folder, in the order of their names. What cannot be read is
/// skipped: then the connection fails and says why.
fn certificates_in(folder: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    paths.sort();
    let files = paths.into_iter().filter_map(|path| CertificateDer::pem_file_iter(path).ok());
    files.flat_map(|certificates| certificates.flatten().collect::<Vec<_>>()).collect()
}

/// A configuration that accepts any certificate.
pub(super) fn unchecked() -> Result<ClientConfig, String> {
    let verifier = Arc::new(AcceptAny(Arc::new(ring::default_provider())));
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(config)
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

/// Checks certificates as usual, and accepts a server that shows a trusted certificate itself.
///
/// Private registries are often set up with a self-signed certificate that says it is an authority, as
/// `openssl req -x509` makes it. Docker and skopeo accept it where it is trusted; webpki alone refuses it.
#[derive(Debug)]
struct Trusted {
    chain: Arc<WebPkiServerVerifier>,
    trusted: HashSet<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let end = self.chain.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match end {
            // webpki says this only of a certificate whose time is right; the name is still to be checked.
            Err(Error::InvalidCertificate(CertificateError::Other(ref reason)))
                if reason.0.to_string().contains("CaUsedAsEndEntity")
                    && self.trusted.contains(&certificate.clone().into_owned()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            end => end,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Checks that the server holds the key of its certificate, and nothing about the certificate.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate without meaning.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n";

    #[test]
    fn certificates_of_one_registry_are_read_from_its_crt_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.crt"), CERTIFICATE.repeat(2)).expect("written");
        std::fs::write(folder.path().join("broken.crt"), "no certificate").expect("written");
        std::fs::write(folder.path().join("client.cert"), CERTIFICATE).expect("written");
        assert_eq!(certificates_in(folder.path()).len(), 2);
        assert!(certificates_in(&folder.path().join("none")).is_empty());
    }
}
