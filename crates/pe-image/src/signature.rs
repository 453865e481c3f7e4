//! The signature in a file (Authenticode): whether there is one, and whether it is of these bytes.
//!
//! ```text
//!   certificate table ──▶ PKCS#7 SignedData ──▶ signed attributes ── digest of ──▶ SpcIndirectDataContent
//!                                                                                     │ digest of
//!                                                                                     ▼
//!                            the file, but for its checksum, the table and where it says that the table is
//! ```
//!
//! Who signed it, whether that key made the signature and whether anybody trusts it are other questions, which nobody
//! asks here: there are no chains, no clocks and no revocation lists.

use authenticode::{
    AttributeCertificateIterator, AuthenticodeSignature, PeOffsetError, PeOffsets, PeTrait,
    WIN_CERT_TYPE_PKCS_SIGNED_DATA, authenticode_digest,
};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::ops::Range;

use crate::PeFile;

/// The attribute that names the digest of the signed content (PKCS#9).
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";

/// Why a file does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature in it.
    #[error("it carries no embedded signature")]
    Missing,
    /// The table of certificates is damaged.
    #[error("its certificate table is damaged: {0}")]
    Table(String),
    /// What the table holds is no signature, or a damaged one.
    #[error("its signature cannot be read: {0}")]
    Unreadable(String),
    /// A digest that Windows does not sign with.
    #[error("its signature speaks of the digest {0}, which is none of SHA-1 and SHA-2")]
    UnknownDigest(String),
    /// It was changed since it was signed.
    #[error("it was changed since it was signed: its digest is {found}, and the signature is of {signed}")]
    OtherFile {
        /// Of the file.
        found: String,
        /// In the signature.
        signed: String,
    },
    /// The signature is not of what it holds.
    #[error("its signature is not of the digest that it holds")]
    OtherContent,
}

/// The digests that Windows signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn of(identifier: &str) -> Result<Self, SignatureError> {
        match identifier {
            "1.3.14.3.2.26" => Ok(Self::Sha1),
            "2.16.840.1.101.3.4.2.1" => Ok(Self::Sha256),
            "2.16.840.1.101.3.4.2.2" => Ok(Self::Sha384),
            "2.16.840.1.101.3.4.2.3" => Ok(Self::Sha512),
            other => Err(SignatureError::UnknownDigest(other.to_owned())),
        }
    }

    /// The digest of bytes.
    fn of_bytes(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// The digest of a file, but for what signing it changes.
    fn of_file(self, file: &PeFile<'_>) -> Result<Vec<u8>, PeOffsetError> {
        fn digest<D: Digest + sha2::digest::Update>(file: &PeFile<'_>) -> Result<Vec<u8>, PeOffsetError> {
            let mut digest = D::new();
            authenticode_digest(file, &mut digest)?;
            Ok(digest.finalize().to_vec())
        }
        match self {
            Self::Sha1 => digest::<Sha1>(file),
            Self::Sha256 => digest::<Sha256>(file),
            Self::Sha384 => digest::<Sha384>(file),
            Self::Sha512 => digest::<Sha512>(file),
        }
    }
}

/// Checks that `file` carries a signature of its own bytes.
///
/// # Errors
/// [`SignatureError`] says what is wrong; a file may hold anything in place of a signature.
pub fn check_signature(file: &PeFile<'_>) -> Result<(), SignatureError> {
    let signature = embedded(file)?;
    let algorithm = Algorithm::of(&signature.digest_algorithm().oid.to_string())?;
    let found =
        algorithm.of_file(file).map_err(|_| SignatureError::Table("it is not where a file ends".into()))?;
    if found != signature.digest() {
        return Err(SignatureError::OtherFile { found: hex(&found), signed: hex(signature.digest()) });
    }
    check_attributes(&signature)
}

/// The first signature in the table.
fn embedded(file: &PeFile<'_>) -> Result<AuthenticodeSignature, SignatureError> {
    let table = |error: &dyn ToString| SignatureError::Table(error.to_string());
    let entries = AttributeCertificateIterator::new(file).map_err(|error| table(&error))?;
    for entry in entries.ok_or(SignatureError::Missing)? {
        let entry = entry.map_err(|error| table(&error))?;
        // Other kinds of certificates may stand beside it.
        if entry.certificate_type == WIN_CERT_TYPE_PKCS_SIGNED_DATA {
            let signature = entry.get_authenticode_signature();
            return signature.map_err(|error| SignatureError::Unreadable(error.to_string()));
        }
    }
    Err(SignatureError::Missing)
}

/// What is signed are attributes, which name the digest of the content.
fn check_attributes(signature: &AuthenticodeSignature) -> Result<(), SignatureError> {
    let signer = signature.signer_info();
    let content = signature.encapsulated_content().ok_or(SignatureError::OtherContent)?;
    let algorithm = Algorithm::of(&signer.digest_alg.oid.to_string())?;
    let attributes = signer.signed_attrs.as_ref().ok_or(SignatureError::OtherContent)?;
    let mut named = attributes.iter().filter(|attribute| attribute.oid.to_string() == MESSAGE_DIGEST);
    let named = named.next().and_then(|attribute| attribute.values.iter().next());
    if named.is_some_and(|named| named.value() == algorithm.of_bytes(content)) {
        Ok(())
    } else {
        Err(SignatureError::OtherContent)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What of a file a signature is of.
impl PeTrait for PeFile<'_> {
    fn data(&self) -> &[u8] {
        PeFile::data(self)
    }

    fn num_sections(&self) -> usize {
        self.sections().len()
    }

    fn section_data_range(&self, index: usize) -> Result<Range<usize>, PeOffsetError> {
        let section =
            index.checked_sub(1).and_then(|index| self.sections().get(index)).ok_or(PeOffsetError)?;
        let start = section.raw_offset as usize;
        let end = start.checked_add(section.raw_size as usize).ok_or(PeOffsetError)?;
        Ok(start..end)
    }

    fn certificate_table_range(&self) -> Result<Option<Range<usize>>, PeOffsetError> {
        let Some((offset, size)) = self.certificates else { return Ok(None) };
        let start = offset as usize;
        let end = start.checked_add(size as usize).ok_or(PeOffsetError)?;
        Ok(Some(start..end))
    }

    fn offsets(&self) -> Result<PeOffsets, PeOffsetError> {
        let (check_sum, security_data_dir) = self.unsigned_fields();
        Ok(PeOffsets {
            check_sum,
            after_check_sum: check_sum + 4,
            security_data_dir,
            after_security_data_dir: security_data_dir + 8,
            after_header: self.size_of_headers as usize,
        })
    }
}
