//! Details of the events of `audit`.

super::details! {
    /// A witness cosigned a checkpoint with a key that had not cosigned this log before.
    CheckpointCosigned for ["audit.checkpoints.cosign"] {
        /// The root hash, in hexadecimal digits.
        root: String,
        /// The names of the witnesses whose keys were new.
        witnesses: Vec<String>,
    }

    /// An authority stamped a checkpoint with the time (RFC 3161).
    CheckpointTimestamped for ["audit.checkpoints.timestamp"] {
        /// The signed note of the checkpoint, byte for byte as it was stamped.
        checkpoint: String,
        /// The address of the authority.
        authority: String,
        /// When the authority says that it saw the note, by its clock.
        time: String,
        /// The authority's answer (TimeStampResp), in base64.
        answer: String,
        /// The consistency proof from the checkpoint to the log of all entries before this one, each hash in base64.
        consistency: Vec<String>,
    }

    /// A person's keys were destroyed, or there was nothing to destroy.
    SubjectErased for ["audit.subjects.erase"] {
        /// How many keys were destroyed.
        destroyed_keys: u64,
        /// How many entries they had sealed.
        erased_entries: i64,
    }

    /// Keys of subjects were sealed under the current master key.
    KeysRewrapped for ["audit.keys.rewrap"] {
        /// How many.
        rewrapped: i64,
        /// How many are left under older master keys.
        remaining: i64,
    }

    /// The log got another signing key. The checkpoint that has this entry as its last is signed by both.
    SigningKeyRotated for ["audit.keys.rotate"] {
        /// The verifier key that signed until here.
        old_key: String,
        /// The verifier key that signs from here on.
        new_key: String,
        /// The last checkpoint that the old key signed alone, as a signed note.
        checkpoint: String,
    }

    /// The retention changed.
    RetentionChanged for ["audit.retention.update"] {
        /// How many days entries were kept; none means for ever.
        keep_days_before: Option<i64>,
        /// How many days they are kept from now on; none means for ever.
        keep_days: Option<i64>,
    }

    /// Content past its retention was removed.
    EntriesPruned for ["audit.entries.prune"] {
        /// The retention in days; none if there is none.
        keep_days: Option<i64>,
        /// The index after the last entry that was looked at.
        end_index: u64,
        /// How many entries were pruned.
        pruned: i64,
        /// How many legal holds kept.
        held: i64,
        /// The names of the holds in force.
        holds: Vec<String>,
        /// The first index that was pruned.
        first_index: Option<u64>,
        /// The last index that was pruned.
        last_index: Option<u64>,
        /// How many spans of indexes were pruned.
        spans: u64,
        /// The digest over `start-end` and a line feed for each span.
        spans_digest: String,
        /// The timer of a run by schedule; empty if it was asked for.
        timer: String,
        /// When that timer was due.
        due_time: String,
        /// When that was noticed.
        detect_time: String,
    }

    /// A legal hold was engaged: what it covers, where empty means everything.
    LegalHoldEngaged for ["audit.legalHolds.create"] {
        /// This subject's data,
        subject: String,
        /// resources that begin with this,
        resource_prefix: String,
        /// this actor's entries,
        actor: String,
        /// recorded from then on,
        recorded_from: Option<String>,
        /// and before then.
        recorded_until: Option<String>,
    }

    /// The audit service refused an event, which was parked.
    EventParked for ["relay.events.park"] {
        /// The id of the event, cut to 100 characters.
        event: String,
        /// Its action, cut to 100 characters.
        action: String,
        /// Its resource, cut to 500 characters.
        resource: String,
        /// Whether it carried personal data, which is not kept.
        personal_data_dropped: bool,
    }
}
