//! Events of notify.

super::details! {
    /// A subscription was made, changed or ended.
    SubscriptionChanged for [
        "notify.subscriptions.create", "notify.subscriptions.update", "notify.subscriptions.delete",
        "notify.subscriptions.pause", "notify.subscriptions.resume", "notify.subscriptions.rotate",
        "notify.subscriptions.test", "notify.subscriptions.break"
    ] {
        /// Whose it is.
        owner: String,
        /// Which events it selects.
        filter: String,
        /// The host that they are sent to. The rest of the URL may be a secret of the receiver.
        host: String,
        /// Whether it sends, as a word of `SubscriptionState`.
        state: String,
        /// Why, if it does not.
        state_reason: String,
        /// Of a rotation: until when the secrets before go on signing (RFC 3339); empty if there were none, and else.
        overlap_end_time: String,
    }

    /// Deliveries are sent once more.
    DeliveriesReplayed for ["notify.deliveries.replay"] {
        /// The first index of the log.
        start_index: i64,
        /// The index after the last one.
        end_index: i64,
        /// How many deliveries.
        replayed: i64,
    }

    /// A person has read what was wanted of her.
    NoticeAcknowledged for ["notify.notices.acknowledge"] {
        /// The kind of duty.
        duty: String,
        /// What it was about.
        resource: String,
    }

    /// An e-mail came back.
    BounceReported for ["notify.bounces.report"] {
        /// The status that the mail server gave (RFC 3463), such as `5.1.1`.
        status: String,
        /// Whether it failed for good.
        is_final: bool,
        /// Who is to hear that the address is in doubt: who said it; empty if it was before, or is not.
        owner: String,
    }

    /// Where notices reach somebody has changed. The log keeps no address.
    SettingsChanged for [
        "notify.settings.update", "notify.settings.confirm", "notify.settings.unsubscribe", "notify.settings.break"
    ] {
        /// Whose settings: `subject:…`, `role:…` or `group:…`.
        audience: String,
        /// Who set them last.
        owner: String,
        /// Whether e-mail goes to a confirmed address.
        email: bool,
        /// Whether there is a chat.
        chat: bool,
        /// The kinds of duty that are not sent by e-mail, or not by chat.
        switched_off: Vec<String>,
        /// Why nothing is sent any more, without an address; empty if all is well.
        state_reason: String,
    }
}
