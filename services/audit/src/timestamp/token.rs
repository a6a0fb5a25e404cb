//! The answer of a time-stamping authority (RFC 3161), read and verified.
//!
//! Its token is a signed message (RFC 5652) over a digest and a time. The attributes that are signed name the certificate of
//! the signer by its digest (RFC 5035), so that what else the message says of the signer need not be believed.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use der::{AnyRef, Decode as _, Reader as _, SliceReader};
use remit_core::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::fmt;
use std::time::Duration;
use webpki::aws_lc_rs as signatures;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

// Tags, as the first byte of an element.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

// Object identifiers, as their content.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA_384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA_512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Why an answer is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The authority gave no token; what it said.
    Rejected(String),
    /// It has not the form of RFC 3161.
    Form(String),
    /// It is about other data.
    Imprint,
    /// It answers another question, or an old one.
    Nonce,
    /// It is not signed as it says.
    Signature(&'static str),
    /// Its certificate does not lead to a trusted one.
    Untrusted(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(why) => write!(f, "the authority gave no token: {why}"),
            Self::Form(what) => write!(f, "no answer of a time-stamping authority: {what}"),
            Self::Imprint => f.write_str("the token is about other data"),
            Self::Nonce => f.write_str("the token answers another request: its nonce is not the one that was sent"),
            Self::Signature(what) => write!(f, "the token is not signed: {what}"),
            Self::Untrusted(why) => write!(f, "the certificate of the token does not lead to a trusted one: {why}"),
        }
    }
}

impl std::error::Error for Wrong {}

type Read<T> = Result<T, Wrong>;

fn form(what: &str) -> Wrong {
    Wrong::Form(what.to_owned())
}

/// One element: its tag, its content, and all of its bytes.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Element<'a> {
    fn elements(self) -> Read<Elements<'a>> {
        Elements::of(self.content)
    }
}

/// What stands in a sequence or set, in order.
struct Elements<'a>(SliceReader<'a>);

impl<'a> Elements<'a> {
    fn of(bytes: &'a [u8]) -> Read<Self> {
        SliceReader::new(bytes).map(Self).map_err(|error| Wrong::Form(error.to_string()))
    }

    fn next(&mut self) -> Read<Option<Element<'a>>> {
        if self.0.is_finished() {
            return Ok(None);
        }
        let wrong = |error: der::Error| Wrong::Form(error.to_string());
        let raw = self.0.tlv_bytes().map_err(wrong)?;
        let content = AnyRef::from_der(raw).map_err(wrong)?.value();
        let tag = *raw.first().ok_or_else(|| form("an element is empty"))?;
        Ok(Some(Element { tag, content, raw }))
    }

    fn take(&mut self, tag: u8, what: &str) -> Read<Element<'a>> {
        let found = self.next()?.filter(|found| found.tag == tag);
        found.ok_or_else(|| Wrong::Form(format!("{what} is missing")))
    }

    /// The next element, if it has this tag.
    fn take_if(&mut self, tag: u8) -> Read<Option<Element<'a>>> {
        if self.0.peek_byte() == Some(tag) { self.next() } else { Ok(None) }
    }
}

/// The only element of bytes.
fn only<'a>(bytes: &'a [u8], tag: u8, what: &str) -> Read<Element<'a>> {
    let mut all = Elements::of(bytes)?;
    let found = all.take(tag, what)?;
    if all.next()?.is_none() { Ok(found) } else { Err(Wrong::Form(format!("something follows {what}"))) }
}

/// The object identifier of an algorithm.
fn algorithm(element: Element<'_>) -> Read<&[u8]> {
    Ok(element.elements()?.take(OID, "an algorithm")?.content)
}

/// What a token states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When the authority saw the digest, by its clock.
    pub time: Timestamp,
    /// The number of the token, in hexadecimal digits; it is unique to the authority.
    pub serial: String,
}

/// A token that was read; nothing of it is believed before it is verified.
pub struct Token<'a> {
    /// What is signed indirectly, by its digest.
    info: &'a [u8],
    imprint: &'a [u8],
    nonce: Option<&'a [u8]>,
    stamp: Stamp,
    certificates: Vec<&'a [u8]>,
    signer: Signer<'a>,
}

#[derive(Clone, Copy)]
struct Signer<'a> {
    /// The digest of the content and of the attributes.
    digest: &'static digest::Algorithm,
    /// The attributes, as they stand in the message.
    attributes: Element<'a>,
    signature: &'a [u8],
}

/// The certificates of the authorities that somebody trusts.
#[derive(Debug, Clone)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Those of a file in PEM.
    ///
    /// # Errors
    /// Why there is none in it, or why one cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let all =
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        if all.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        for certificate in &all {
            anchor_from_trusted_cert(certificate).map_err(|error| error.to_string())?;
        }
        Ok(Self(all))
    }
}

impl<'a> Token<'a> {
    /// Reads the answer of an authority.
    ///
    /// # Errors
    /// [`Wrong::Rejected`], [`Wrong::Form`].
    pub fn read(answer: &'a [u8]) -> Read<Self> {
        let mut answer = only(answer, SEQUENCE, "the answer")?.elements()?;
        let status = answer.take(SEQUENCE, "the status")?;
        let token = answer.take_if(SEQUENCE)?;
        // Granted, or granted with changes.
        let granted = matches!(status.elements()?.take(INTEGER, "the status")?.content, [0 | 1]);
        let (true, Some(token)) = (granted, token) else { return Err(Wrong::Rejected(told(status)?)) };
        let mut token = token.elements()?;
        if token.take(OID, "the type of the token")?.content != SIGNED_DATA {
            return Err(form("the token is no signed message"));
        }
        let message = only(token.take(FIRST, "the signed message")?.content, SEQUENCE, "the signed message")?;
        let mut message = message.elements()?;
        message.take(INTEGER, "the version of the message")?;
        message.take(SET, "the digests of the message")?;
        let mut content = message.take(SEQUENCE, "the content")?.elements()?;
        if content.take(OID, "the type of the content")?.content != TST_INFO {
            return Err(form("the message says nothing of a time"));
        }
        let info = only(content.take(FIRST, "the content")?.content, OCTETS, "the content")?.content;
        let mut certificates = Vec::new();
        if let Some(all) = message.take_if(FIRST)? {
            let mut all = all.elements()?;
            while let Some(one) = all.next()? {
                certificates.extend((one.tag == SEQUENCE).then_some(one.raw));
            }
        }
        message.take_if(SECOND)?;
        let signers = message.take(SET, "the signer")?.content;
        let signer = signer(only(signers, SEQUENCE, "the one signer")?)?;
        Self::of(info, certificates, signer)
    }

    /// Reads what is signed.
    fn of(info: &'a [u8], certificates: Vec<&'a [u8]>, signer: Signer<'a>) -> Read<Self> {
        let mut parts = only(info, SEQUENCE, "the content")?.elements()?;
        parts.take(INTEGER, "the version of the content")?;
        parts.take(OID, "the policy")?;
        let mut imprint = parts.take(SEQUENCE, "the imprint")?.elements()?;
        if algorithm(imprint.take(SEQUENCE, "the digest of the imprint")?)? != SHA_256 {
            return Err(form("the imprint is not by SHA-256"));
        }
        let imprint = imprint.take(OCTETS, "the imprint")?.content;
        let serial = hex::encode(parts.take(INTEGER, "the serial number")?.content);
        let time = time(parts.take(TIME, "the time")?.content).ok_or_else(|| form("the time cannot be read"))?;
        parts.take_if(SEQUENCE)?;
        parts.take_if(BOOLEAN)?;
        let nonce = parts.take_if(INTEGER)?.map(|nonce| nonce.content);
        Ok(Self { info, imprint, nonce, stamp: Stamp { time, serial }, certificates, signer })
    }

    /// Finds that the token is about `data`.
    ///
    /// # Errors
    /// [`Wrong::Imprint`].
    pub fn is_of(&self, data: &[u8]) -> Read<()> {
        if digest::digest(&SHA256, data).as_ref() == self.imprint { Ok(()) } else { Err(Wrong::Imprint) }
    }

    /// Finds that the token answers the request with this nonce.
    ///
    /// # Errors
    /// [`Wrong::Nonce`].
    pub fn answers(&self, nonce: &[u8]) -> Read<()> {
        if self.nonce == Some(nonce) { Ok(()) } else { Err(Wrong::Nonce) }
    }

    /// Finds that the token is signed by a certificate in it and, if any are given, that this leads to one of `authorities`,
    /// was valid at the time of the token and is for time stamps.
    ///
    /// # Errors
    /// [`Wrong::Signature`], [`Wrong::Untrusted`], [`Wrong::Form`].
    pub fn verify(&self, authorities: Option<&Authorities>) -> Read<Stamp> {
        let Signer { digest: by, attributes, signature } = self.signer;
        let Attributes { kind, message, certificate } = attributes_of(attributes)?;
        if kind != TST_INFO || digest::digest(by, self.info).as_ref() != message {
            return Err(Wrong::Signature("what is signed is not its content"));
        }
        let (hash, wanted) = certificate;
        let own = self.certificates.iter().find(|one| digest::digest(hash, one).as_ref() == wanted);
        let own = *own.ok_or(Wrong::Signature("the certificate that it names is not in it"))?;
        let der = CertificateDer::from(own);
        let own_key = EndEntityCert::try_from(&der).map_err(|_| Wrong::Signature("its certificate cannot be read"))?;
        // The attributes are signed as the set that they are.
        let signed = [&[SET][..], attributes.raw.get(1..).unwrap_or_default()].concat();
        if !ways(by).iter().any(|way| own_key.verify_signature(*way, &signed, signature).is_ok()) {
            return Err(Wrong::Signature("the signature is wrong, or of a kind that is not known here"));
        }
        if let Some(Authorities(trusted)) = authorities {
            let untrusted = |error: webpki::Error| Wrong::Untrusted(error.to_string());
            let mut anchors = Vec::new();
            for one in trusted {
                anchors.push(anchor_from_trusted_cert(one).map_err(untrusted)?);
            }
            let others = self.certificates.iter().filter(|one| **one != own);
            let others: Vec<CertificateDer<'_>> = others.map(|one| CertificateDer::from(*one)).collect();
            let seconds = u64::try_from(self.stamp.time.0 / 1_000_000).unwrap_or(0);
            let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let usage = KeyUsage::required(TIME_STAMPING);
            own_key
                .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &others, at, usage, None, None)
                .map_err(untrusted)?;
        }
        Ok(self.stamp.clone())
    }
}

/// What an authority says that gives no token.
fn told(status: Element<'_>) -> Read<String> {
    let mut parts = status.elements()?;
    let number = parts.take(INTEGER, "the status")?.content;
    let mut words = vec![match number {
        [2] => "it rejected the request".to_owned(),
        [3] => "it goes on later, which is not waited for".to_owned(),
        [0 | 1] => "it granted the request all the same".to_owned(),
        _ => format!("its status is {}", hex::encode(number)),
    }];
    if let Some(texts) = parts.take_if(SEQUENCE)? {
        let mut texts = texts.elements()?;
        while let Some(text) = texts.next()? {
            words.push(String::from_utf8_lossy(text.content).chars().take(200).collect());
        }
    }
    Ok(words.join(": "))
}

fn signer(element: Element<'_>) -> Read<Signer<'_>> {
    let mut parts = element.elements()?;
    parts.take(INTEGER, "the version of the signer")?;
    parts.next()?;
    let by = match algorithm(parts.take(SEQUENCE, "the signer's digest")?)? {
        SHA_256 => &SHA256,
        SHA_384 => &SHA384,
        SHA_512 => &SHA512,
        _ => return Err(form("the signer's digest is not of SHA-2")),
    };
    let attributes = parts.take(FIRST, "what is signed")?;
    parts.take(SEQUENCE, "the algorithm of the signature")?;
    let signature = parts.take(OCTETS, "the signature")?.content;
    Ok(Signer { digest: by, attributes, signature })
}

/// What is signed: the type of the content, its digest, and the signer's certificate by its digest.
struct Attributes<'a> {
    kind: &'a [u8],
    message: &'a [u8],
    certificate: (&'static digest::Algorithm, &'a [u8]),
}

fn attributes_of(element: Element<'_>) -> Read<Attributes<'_>> {
    let (mut kind, mut message, mut certificate, mut older) = (None, None, None, None);
    let mut all = element.elements()?;
    while let Some(one) = all.next()? {
        let mut parts = one.elements()?;
        let name = parts.take(OID, "an attribute")?.content;
        let value = parts.take(SET, "the value of an attribute")?.content;
        let twice = match name {
            CONTENT_TYPE => kind.replace(only(value, OID, "the type")?.content).is_some(),
            MESSAGE_DIGEST => message.replace(only(value, OCTETS, "the digest")?.content).is_some(),
            SIGNING_CERTIFICATE => older.replace(named(value, false)?).is_some(),
            SIGNING_CERTIFICATE_V2 => certificate.replace(named(value, true)?).is_some(),
            _ => false,
        };
        if twice {
            return Err(form("an attribute stands twice"));
        }
    }
    let missing = || Wrong::Signature("the type, the digest or the certificate is not among what is signed");
    Ok(Attributes {
        kind: kind.ok_or_else(missing)?,
        message: message.ok_or_else(missing)?,
        certificate: certificate.or(older).ok_or_else(missing)?,
    })
}

/// The digest of the certificate that an attribute names first, which is the signer's.
fn named(value: &[u8], second: bool) -> Read<(&'static digest::Algorithm, &[u8])> {
    let all = only(value, SEQUENCE, "the certificate")?.elements()?.take(SEQUENCE, "the certificate")?;
    let mut first = all.elements()?.take(SEQUENCE, "the certificate")?.elements()?;
    let by = match first.take_if(SEQUENCE)? {
        None if second => &SHA256,
        None => &SHA1_FOR_LEGACY_USE_ONLY,
        Some(by) => match algorithm(by)? {
            SHA_256 => &SHA256,
            SHA_384 => &SHA384,
            SHA_512 => &SHA512,
            _ => return Err(form("the certificate is named by a digest that is not of SHA-2")),
        },
    };
    Ok((by, first.take(OCTETS, "the digest of the certificate")?.content))
}

/// The signatures that go with a digest; the certificate's key decides.
fn ways(by: &'static digest::Algorithm) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    static WITH_256: [&dyn SignatureVerificationAlgorithm; 5] = [
        signatures::RSA_PKCS1_2048_8192_SHA256,
        signatures::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        signatures::ECDSA_P256_SHA256,
        signatures::ECDSA_P384_SHA256,
        signatures::ECDSA_P521_SHA256,
    ];
    static WITH_384: [&dyn SignatureVerificationAlgorithm; 5] = [
        signatures::RSA_PKCS1_2048_8192_SHA384,
        signatures::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        signatures::ECDSA_P256_SHA384,
        signatures::ECDSA_P384_SHA384,
        signatures::ECDSA_P521_SHA384,
    ];
    static WITH_512: [&dyn SignatureVerificationAlgorithm; 6] = [
        signatures::RSA_PKCS1_2048_8192_SHA512,
        signatures::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        signatures::ECDSA_P256_SHA512,
        signatures::ECDSA_P384_SHA512,
        signatures::ECDSA_P521_SHA512,
        signatures::ED25519,
    ];
    match by.output_len() {
        32 => &WITH_256,
        48 => &WITH_384,
        _ => &WITH_512,
    }
}

/// A time of RFC 3161: `YYYYMMDDhhmmss`, with a fraction or without one, and `Z`.
fn time(content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let part = |range: std::ops::Range<usize>| whole.get(range).unwrap_or_default();
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{fraction}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..12),
        part(12..14)
    );
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOTE: &[u8] = include_bytes!("../../tests/golden/timestamp/note.txt");
    const RSA: &[u8] = include_bytes!("../../tests/golden/timestamp/rsa.tsr");
    const EC: &[u8] = include_bytes!("../../tests/golden/timestamp/ec.tsr");
    const NONCE: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

    fn authorities(pem: &[u8]) -> Authorities {
        Authorities::from_pem(pem).unwrap()
    }

    fn known() -> Authorities {
        authorities(include_bytes!("../../tests/golden/timestamp/ca.pem"))
    }

    /// Made by `openssl ts -reply`, which also verifies them.
    #[test]
    fn what_another_program_stamped_is_verified() {
        for answer in [RSA, EC] {
            let token = Token::read(answer).unwrap();
            token.is_of(NOTE).unwrap();
            token.answers(NONCE).unwrap();
            assert_eq!(token.is_of(b"other"), Err(Wrong::Imprint));
            assert_eq!(token.answers(&[1]), Err(Wrong::Nonce));
            let stamp = token.verify(Some(&known())).unwrap();
            assert!(stamp.time.to_string().starts_with("2026-11-28T16:48:3"), "{stamp:?}");
            assert_eq!(token.verify(None), Ok(stamp));
            let other = authorities(include_bytes!("../../tests/golden/timestamp/other.pem"));
            assert!(matches!(token.verify(Some(&other)), Err(Wrong::Untrusted(_))));
        }
    }

    /// Not every byte is signed, such as those of certificates that nobody needs; what is believed is.
    #[test]
    fn no_byte_of_an_answer_changes_what_is_believed() {
        for answer in [RSA, EC] {
            let right = Token::read(answer).unwrap().verify(Some(&known())).unwrap();
            let mut refused = 0;
            for at in 0..answer.len() {
                let mut changed = answer.to_vec();
                changed[at] ^= 1;
                let found = Token::read(&changed).and_then(|token| {
                    token.is_of(NOTE)?;
                    token.answers(NONCE)?;
                    token.verify(Some(&known()))
                });
                match found {
                    Ok(stamp) => assert_eq!(stamp, right, "byte {at}"),
                    Err(_) => refused += 1,
                }
                // A cut answer, too.
                assert!(Token::read(&answer[..at]).is_err(), "{at} bytes");
            }
            assert!(refused > 900, "{refused} of {}", answer.len());
            assert!(Token::read(&[answer, b"\0"].concat()).is_err());
        }
    }

    #[test]
    fn what_gives_no_token_says_why() {
        let refused = [
            0x30, 0x10, 0x30, 0x0e, 0x02, 0x01, 0x02, 0x30, 0x05, 0x0c, 0x03, b'o', b'd', b'd', 0x03, 0x02, 0x05, 0x80,
        ];
        let why = Token::read(&refused).err().unwrap();
        assert_eq!(why, Wrong::Rejected("it rejected the request: odd".to_owned()));
        let granted = [0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00];
        assert!(matches!(Token::read(&granted), Err(Wrong::Rejected(_))));
        for wrong in [&b""[..], b"<html>", &[0x30, 0x80, 0, 0], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert!(matches!(Token::read(wrong), Err(Wrong::Form(_))), "{wrong:?}");
        }
    }

    #[test]
    fn times_have_one_form() {
        let at = |text: &str| time(text.as_bytes()).map(|at| at.to_string());
        assert_eq!(at("20260102030405Z").as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(at("20260102030405.25Z").as_deref(), Some("2026-01-02T03:04:05.25Z"));
        for wrong in [
            "20260102030405",
            "2026010203040Z",
            "20260102030405.Z",
            "20261302030405Z",
            "20260102030405+01",
            "-0260102030405Z",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn authorities_are_certificates() {
        assert!(Authorities::from_pem(b"").is_err());
        assert!(Authorities::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    }
}
