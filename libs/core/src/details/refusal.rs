//! Details of the events of refusals, which stand under the action of the method that was refused, of reads that are on
//! record, and of what every process sees of itself.

super::details! {
    /// Of any action with the outcome `DENIED`, instead of what stands beside a success: a rule refused the caller, the
    /// event's reason says which.
    ActionRefused for [] {
        /// What the caller was told, cut to 1000 characters.
        message: String,
        /// From where the caller called, address and port of the connection; empty if from within the process.
        address: String,
        /// How many refusals of this caller, method and reason came since the entry before, without an entry of their
        /// own; 0 if each has one.
        unrecorded: u64,
        /// How many refusals of any caller, method and reason in this tenant came since the last of their entries that
        /// one process made, without an entry of their own. Its entries and these together are all that it refused.
        unrecorded_in_all: u64,
    }

    /// Tokens were refused. Where the signature was right, this is in the log of the tenant that the token names; where
    /// nobody can say who sent it, in that of `audit.security_tenant`. Nothing else of a token is kept.
    TokenRefused for ["system.tokens.refuse"] {
        /// From where the caller called, address and port of the connection; empty if from within the process.
        address: String,
        /// The method that was called; empty for a page or a method that does not exist.
        method: String,
        /// The issuer that signed the token; empty if the signature was not right.
        issuer: String,
        /// The subject of the token; empty if the signature was not right.
        subject: String,
        /// How many tokens from this address, or IPv6 network of 64 bits, were refused for this reason since the entry
        /// before, without an entry of their own.
        unrecorded: u64,
        /// How many refusals of any sort in this log came since the last of their entries that one process made,
        /// without an entry of their own.
        unrecorded_in_all: u64,
    }

    /// A certificate that a process shows or believes ends within a year, or was renewed.
    CertificateWatched for ["system.certificates.watch"] {
        /// The setting that names its file, such as `server.tls_certificate`.
        setting: String,
        /// `sha256:` over the first certificate of the file that ends (DER).
        digest: String,
        /// When that ends (RFC 3339).
        expire_time: String,
    }

    /// What was read is on record: personal data was opened, records were exported, or the log was verified. It was
    /// recorded before the answer was given.
    ReadRecorded for [
        "audit.personal.reveal",
        "audit.entries.export",
        "audit.log.check",
        "council.reviews.export",
        "registry.disclosures.export",
        "scoring.tasks.export",
        "scoring.plans.export",
    ] {
        /// What was asked for, as proto JSON; null if it takes more than 4,000 characters, or for a page.
        request: serde_json::Value,
        /// From where the caller called, address and port of the connection; empty if from within the process.
        address: String,
        /// How many further reads of this caller went without an entry since the entry before. Only pages of the log
        /// do, which a monitor asks for all the time; 0 for methods.
        unrecorded: u64,
    }
}
