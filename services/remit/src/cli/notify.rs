//! `remit notify`: what is sent to whom; and `remit inbox`: what is wanted of the caller.

use super::Group;
use super::connect::{Connection, Session, answer};
use super::list::{ListArgs, Page};
use super::notify_settings;
use super::output::{Column, json};
use super::values::{named, span};
use clap::{Args, Subcommand, ValueEnum};
use prost_types::FieldMask;
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::{
    AcknowledgeNoticeRequest, CreateSubscriptionRequest, DeleteSubscriptionRequest, Format, GetDeliveryRequest,
    GetSubscriptionRequest, ListDeliveriesRequest, ListNoticesRequest, ListSubscriptionsRequest,
    PauseSubscriptionRequest, ReplayDeliveriesRequest, ReplayDeliveriesResponse, ResumeSubscriptionRequest,
    RotateSecretRequest, Signing, Subscription, TestSubscriptionRequest, UpdateSubscriptionRequest,
};
use remit_core::{Error, Result};

/// What to do with what is sent.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, list, pause, resume, test and delete subscriptions, and renew their secrets.
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// List deliveries and send them once more.
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// Show and change where notices reach somebody: by e-mail or chat, at once or once a day.
    #[command(subcommand)]
    Settings(notify_settings::Command),
    /// Print the deadlines of the caller's notices as a calendar (RFC 5545).
    Calendar,
    /// Take an e-mail that came back from standard input, as the pipe of a mail server gives it: what failed for good is
    /// sent nothing more. Exit code 6: not reachable, keep the message and try again.
    Bounce {
        /// To whom it came, as the mail server knows it; what its headers say of that if absent.
        #[arg(long, default_value = "", hide_default_value = true)]
        recipient: String,
    },
}

/// What to do with subscriptions.
#[derive(Debug, Subcommand)]
pub(crate) enum SubscriptionCommand {
    /// Subscribe an endpoint to events. It begins paused: rotate-secret shows its secret, resume starts it.
    Create {
        /// The id of the subscription.
        id: String,
        /// Where to: an https URL.
        #[arg(long)]
        endpoint: String,
        /// Which events, in the filter language of AIP-160, such as 'action = "kpi.alerts.*"'; all if absent.
        #[arg(long, default_value = "", hide_default_value = true)]
        filter: String,
        /// How a payload is formatted.
        #[arg(long, value_enum, default_value_t = FormatName::CloudEvents)]
        format: FormatName,
        /// Sign with an Ed25519 key instead of a secret that both know.
        #[arg(long)]
        ed25519: bool,
        /// What it is for.
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
        /// Let no delivery wait for those before it about the same resource.
        #[arg(long)]
        unordered: bool,
        /// The most deliveries begun in a second, 1 to 1,000; 0: no bound.
        #[arg(long, value_name = "N", default_value_t = 0)]
        max_per_second: i32,
    },
    /// Change a subscription. What is not named stays as it is; whoever changes it owns it from then on.
    Set(Set),
    /// Show a subscription.
    Show {
        /// The subscription.
        name: String,
    },
    /// List subscriptions, such as those with 'state = "BROKEN"'.
    List(ListArgs),
    /// Stop sending; what happens meanwhile is kept.
    Pause {
        /// The subscription.
        name: String,
        /// Why.
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Send again.
    Resume {
        /// The subscription.
        name: String,
    },
    /// Send a test.
    Test {
        /// The subscription.
        name: String,
    },
    /// Make a new secret and show it, this once; those before go on signing for 24 hours.
    RotateSecret {
        /// The subscription.
        name: String,
    },
    /// Delete a subscription with its secrets and deliveries.
    Delete {
        /// The subscription.
        name: String,
    },
}

/// What to change of a subscription.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The subscription.
    name: String,
    /// Where to.
    #[arg(long)]
    endpoint: Option<String>,
    /// Which events; empty for all.
    #[arg(long)]
    filter: Option<String>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// Whether no delivery waits for those before it about the same resource.
    #[arg(long)]
    unordered: Option<bool>,
    /// The most deliveries begun in a second, 1 to 1,000; 0: no bound.
    #[arg(long, value_name = "N")]
    max_per_second: Option<i32>,
}

impl Set {
    /// The subscription that is asked for, and which of its fields.
    fn asked(self) -> (Subscription, Vec<String>) {
        let mut asked = Subscription { name: named("subscriptions", &self.name), ..Subscription::default() };
        let mut paths = Vec::new();
        for (path, given, place) in [
            ("endpoint", self.endpoint, &mut asked.endpoint),
            ("filter", self.filter, &mut asked.filter),
            ("description", self.description, &mut asked.description),
        ] {
            if let Some(given) = given {
                *place = given;
                paths.push(path.to_owned());
            }
        }
        if let Some(unordered) = self.unordered {
            asked.unordered = unordered;
            paths.push("unordered".to_owned());
        }
        if let Some(max_per_second) = self.max_per_second {
            asked.max_per_second = max_per_second;
            paths.push("max_per_second".to_owned());
        }
        (asked, paths)
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::CloudEvents => Self::CloudEvents,
            FormatName::Slack => Self::Slack,
            FormatName::Teams => Self::Teams,
            FormatName::Email => Self::Email,
        }
    }
}

/// How a payload is formatted.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatName {
    /// CloudEvents 1.0 as structured JSON.
    CloudEvents,
    /// A message for an incoming webhook of Slack.
    Slack,
    /// A message for an incoming webhook of Microsoft Teams.
    Teams,
    /// An e-mail, to an endpoint such as mailto:ops@example.com.
    Email,
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List deliveries of a subscription, such as those with 'state = "DEAD"'.
    List {
        /// The subscription; `-` for all of them.
        subscription: String,
        /// Which of them.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a delivery with what was sent and answered.
    Show {
        /// The delivery, such as `crm/deliveries/100`.
        name: String,
    },
    /// Send deliveries of a span of the audit log once more, also what was recorded before the subscription was made.
    Replay {
        /// The subscription.
        subscription: String,
        /// The first index of the log.
        #[arg(long, value_name = "INDEX", required_unless_present = "recorded")]
        start: Option<i64>,
        /// The index after the last one; that of the first alone if absent, and all if a span of time is said.
        #[arg(long, value_name = "INDEX")]
        end: Option<i64>,
        /// Only what was recorded in this span, such as 2026-05-01..2026-05-03.
        #[arg(long, value_name = "FROM..TO")]
        recorded: Option<String>,
        /// Only those that were given up.
        #[arg(long)]
        dead: bool,
    },
}

/// Arguments of `remit inbox`.
#[derive(Debug, Args)]
pub(crate) struct Inbox {
    /// How to reach the suite.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Those that are acknowledged, done or over too.
    #[arg(long)]
    all: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Acknowledge this notice, which goes on record, instead of listing them.
    #[arg(long, value_name = "NOTICE")]
    acknowledge: Option<String>,
}

const SUBSCRIPTIONS: &[Column] = &[
    ("SUBSCRIPTION", "name", "subscriptions/"),
    ("STATE", "state", "SUBSCRIPTION_STATE_"),
    ("WHY", "stateReason", ""),
    ("FILTER", "filter", ""),
    ("ENDPOINT", "endpoint", ""),
    ("OWNER", "owner", ""),
];

const DELIVERIES: &[Column] = &[
    ("DELIVERY", "name", "subscriptions/"),
    ("STATE", "state", "DELIVERY_STATE_"),
    ("ACTION", "action", ""),
    ("RESOURCE", "resource", ""),
    ("TRIES", "attempts", ""),
    ("NEXT", "nextAttemptTime", ""),
];

const NOTICES: &[Column] = &[
    ("NOTICE", "name", "notices/"),
    ("SINCE", "createTime", ""),
    ("WHAT", "text", ""),
    ("OTHERWISE", "otherwise", ""),
    ("UNTIL", "dueTime", ""),
    ("TOLD", "audiences", ""),
];

/// Runs the command.
pub(super) async fn run(group: Group<Command>) -> Result<()> {
    let session = Session::open(&group.connection).await?;
    match group.command {
        Command::Subscription(command) => subscription(&session, command).await,
        Command::Delivery(command) => delivery(&session, command).await,
        Command::Settings(command) => notify_settings::run(&session, command).await,
        Command::Calendar => notify_settings::calendar(&session).await,
        Command::Bounce { recipient } => notify_settings::bounce(&session, recipient).await,
    }
}

async fn subscription(session: &Session, command: SubscriptionCommand) -> Result<()> {
    let mut client = SubscriptionServiceClient::new(session.wire());
    let request_id = session.request_id();
    let full = |name: &str| named("subscriptions", name);
    match command {
        SubscriptionCommand::Create {
            id,
            endpoint,
            filter,
            format,
            ed25519,
            description,
            unordered,
            max_per_second,
        } => {
            let signing = if ed25519 { Signing::Ed25519 } else { Signing::Hmac };
            let subscription = Subscription {
                endpoint,
                filter,
                format: Format::from(format).into(),
                signing: signing.into(),
                description,
                unordered,
                max_per_second,
                ..Subscription::default()
            };
            let request =
                CreateSubscriptionRequest { subscription_id: id, subscription: Some(subscription), request_id };
            session.row(client.create_subscription(request).await, SUBSCRIPTIONS)
        }
        SubscriptionCommand::Set(set) => {
            let (subscription, paths) = set.asked();
            if paths.is_empty() {
                return Err(Error::invalid("FIELD_INVALID", "set", "names nothing to change: give one of its options"));
            }
            let request = UpdateSubscriptionRequest {
                subscription: Some(subscription),
                update_mask: Some(FieldMask { paths }),
                request_id,
            };
            session.row(client.update_subscription(request).await, SUBSCRIPTIONS)
        }
        SubscriptionCommand::Show { name } => {
            let request = GetSubscriptionRequest { name: full(&name) };
            session.show(client.get_subscription(request).await)
        }
        SubscriptionCommand::List(list) => {
            session
                .list(list, SUBSCRIPTIONS, async |page: Page| {
                    let request =
                        ListSubscriptionsRequest { page_size: page.size, page_token: page.token, filter: page.filter };
                    let page = client.list_subscriptions(request).await?.into_inner();
                    Ok((page.subscriptions, page.next_page_token))
                })
                .await
        }
        SubscriptionCommand::Pause { name, reason } => {
            let request = PauseSubscriptionRequest { name: full(&name), reason, request_id };
            session.row(client.pause_subscription(request).await, SUBSCRIPTIONS)
        }
        SubscriptionCommand::Resume { name } => {
            let request = ResumeSubscriptionRequest { name: full(&name), request_id };
            session.row(client.resume_subscription(request).await, SUBSCRIPTIONS)
        }
        SubscriptionCommand::Test { name } => {
            let request = TestSubscriptionRequest { name: full(&name), request_id };
            session.row(client.test_subscription(request).await, DELIVERIES)
        }
        SubscriptionCommand::RotateSecret { name } => {
            let request = RotateSecretRequest { name: full(&name), request_id };
            let made = answer(client.rotate_secret(request).await)?;
            session.out.note("keep this secret: it is shown this once");
            session.out.text(&made.secret, || json(&made))
        }
        SubscriptionCommand::Delete { name } => {
            let name = full(&name);
            let request = DeleteSubscriptionRequest { name: name.clone(), etag: String::new(), request_id };
            let deleted = answer(client.delete_subscription(request).await)?;
            session.out.text(&format!("deleted {name}"), || json(&deleted))
        }
    }
}

async fn delivery(session: &Session, command: DeliveryCommand) -> Result<()> {
    let mut client = SubscriptionServiceClient::new(session.wire());
    match command {
        DeliveryCommand::List { subscription, list } => {
            let parent = named("subscriptions", &subscription);
            session
                .list(list, DELIVERIES, async |page: Page| {
                    let request = ListDeliveriesRequest {
                        parent: parent.clone(),
                        page_size: page.size,
                        page_token: page.token,
                        filter: page.filter,
                    };
                    let page = client.list_deliveries(request).await?.into_inner();
                    Ok((page.deliveries, page.next_page_token))
                })
                .await
        }
        DeliveryCommand::Show { name } => {
            let request = GetDeliveryRequest { name: named("subscriptions", &name) };
            session.show(client.get_delivery(request).await)
        }
        DeliveryCommand::Replay { subscription, start, end, recorded, dead } => {
            let recorded = recorded.map(|text| span(&text, "recorded")).transpose()?;
            let start = start.unwrap_or_default();
            let alone = if recorded.is_some() { i64::MAX } else { start.saturating_add(1) };
            let mut request = ReplayDeliveriesRequest {
                name: named("subscriptions", &subscription),
                start_index: start,
                end_index: end.unwrap_or(alone),
                dead_only: dead,
                recorded,
                request_id: session.request_id(),
            };
            let mut all = ReplayDeliveriesResponse::default();
            loop {
                let part = answer(client.replay_deliveries(request.clone()).await)?;
                all.replayed += part.replayed;
                if part.next_index == 0 {
                    return session.out.text(&format!("{} are sent once more", all.replayed), || json(&all));
                }
                request.start_index = part.next_index;
                request.request_id = format!("{}.{}", session.request_id(), part.next_index);
            }
        }
    }
}

/// Runs `remit inbox`.
pub(super) async fn inbox(inbox: Inbox) -> Result<()> {
    let session = Session::open(&inbox.connection).await?;
    let mut client = NoticeServiceClient::new(session.wire());
    if let Some(name) = inbox.acknowledge {
        let request = AcknowledgeNoticeRequest { name: named("notices", &name), request_id: session.request_id() };
        return session.row(client.acknowledge_notice(request).await, NOTICES);
    }
    let list = ListArgs { filter: String::new(), limit: inbox.limit };
    session
        .list(list, NOTICES, async |page: Page| {
            let request =
                ListNoticesRequest { page_size: page.size, page_token: page.token, show_acknowledged: inbox.all };
            let page = client.list_notices(request).await?.into_inner();
            Ok((page.notices, page.next_page_token))
        })
        .await
}
