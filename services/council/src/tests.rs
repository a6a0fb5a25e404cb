//! Random people do random things to a small constitution, and nothing takes effect but by a valid decision. What is
//! expected is worked out here anew, from the votes alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::SCHEMA;
use crate::service::Service;
use crate::store::{Bodies, BreakGlassUses, Holds, Members, Proposals};
use proptest::prelude::*;
use remit_api::council::v1::action::Kind;
use remit_api::council::v1::scope::Target;
use remit_api::council::v1::*;
use remit_core::authority::{AUTOMATION_COUNCIL, STEERING_GROUP, act};
use remit_core::{Actor, ActorKind, Clock, Error, ManualClock, Tenant, Timestamp};
use remit_runtime::{Config, Cx, Mandates, Peers};
use remit_store::testing::TestDb;
use remit_store::{Options, Records as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Who there is; the first six have a seat in the beginning.
const PEOPLE: [&str; 9] = ["mia", "lea", "dan", "sol", "lex", "pru", "nell", "pat", "fay"];
const GROUPS: [&str; 5] = ["marketing_lead", "legal", "data", "sales_ops", "product"];
const NAMES: [&str; 3] = [STEERING_GROUP, AUTOMATION_COUNCIL, "bodies/board"];

fn pick<T: Copy>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()]
}

fn cx(who: &str) -> Cx {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Cx {
        tenant: Tenant::new("acme").unwrap(),
        actor: Actor {
            subject: who.to_owned(),
            kind: ActorKind::Human,
            roles: owned(&["admin"]),
            role_groups: owned(&GROUPS),
            on_behalf_of: None,
        }
        .into(),
        method: "council.tests.act",
        service: None,
        trace_id: String::new(),
        email: None,
        address: None,
        deadline: None,
    }
}

fn new_seat(who: &str, group: &str, id: String) -> NewSeat {
    NewSeat { member_id: id, subject: who.to_owned(), role_group: group.to_owned() }
}

/// Whoever opens a review is answered at once; one process at a time collects, and everybody sees how far it is.
#[tokio::test]
async fn a_review_is_opened_at_once_and_one_process_at_a_time_collects_it() {
    let world = World::new().await;
    let (service, tenant) = (&world.service, Tenant::new("acme").unwrap());
    let open = OpenReviewRequest { period: "2025-05".into(), ..Default::default() };
    let review = service.open_review(&cx("mia"), open.clone()).await.unwrap();
    assert_eq!((review.state(), review.evidence_digest.as_str()), (ReviewState::Collecting, ""));
    assert_eq!(service.open_review(&cx("lea"), open).await.unwrap(), review, "it is there");
    let minutes = RecordMinutesRequest { name: review.name.clone(), minutes: "We met.".into(), ..Default::default() };
    assert_eq!(service.record_minutes(&cx("mia"), minutes).await.unwrap_err().reason(), "REVIEW_COLLECTING");

    let get = async || service.get_review(&cx("mia"), GetReviewRequest { name: review.name.clone() }).await.unwrap();
    assert_eq!(get().await.collection, None, "nobody has begun");
    let mut so_far = Collection { verified_entry_count: 512, entry_count: 1_000, ..Default::default() };
    assert!(service.write_down(&tenant, &review.name, &mut so_far).await.unwrap());
    assert_eq!(get().await.collection, Some(so_far.clone()));
    let other = service.in_another_process();
    let mut nothing = Collection::default();
    assert!(!other.write_down(&tenant, &review.name, &mut nothing).await.unwrap(), "somebody is at it");
    assert_eq!(get().await.collection, Some(so_far));
}

/// One attempt: what, by whom, and two numbers that say about what.
type Attempt = (u8, u8, u8, u8);

/// What the seats were before an attempt, and what it is allowed to have done.
struct World {
    service: Service,
    /// How many attempts were made, so that each has ids of its own.
    made: usize,
    /// Who gave up a seat.
    resigned: BTreeSet<String>,
    _dir: tempfile::TempDir,
    _db: TestDb,
}

#[derive(Clone)]
struct State {
    bodies: Vec<Body>,
    members: Vec<Member>,
    proposals: Vec<Proposal>,
    holds: Vec<Hold>,
    uses: Vec<BreakGlassUse>,
}

impl World {
    async fn new() -> Self {
        let (home, dir) = (TestDb::sqlite().unwrap(), tempfile::tempdir().unwrap());
        let config = Config::from_toml(&format!("[data]\ndir = {:?}\n", dir.path())).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_750_000_000_000_000)));
        let db = home.open_with(&SCHEMA, Options { clock, ..Default::default() }).await.unwrap();
        let peers =
            Peers::new(&[], &BTreeMap::new(), &Default::default(), Arc::default(), Duration::from_secs(60)).unwrap();
        let mandates = Mandates::open(&config, true).await.unwrap();
        let service = Service::of(db, peers, mandates);
        let founding = |body: &str, seats: &[(&str, &str)]| FoundingBody {
            body: body.to_owned(),
            seats: seats.iter().map(|(who, group)| new_seat(who, group, (*who).to_owned())).collect(),
            ..Default::default()
        };
        let bodies = vec![
            founding(STEERING_GROUP, &[("mia", "marketing_lead"), ("lea", "legal"), ("dan", "data")]),
            founding(AUTOMATION_COUNCIL, &[("sol", "sales_ops"), ("lex", "legal"), ("pru", "product")]),
        ];
        service.bootstrap(&cx("root"), BootstrapRequest { bodies, ..Default::default() }).await.unwrap();
        Self { service, made: 0, resigned: BTreeSet::new(), _dir: dir, _db: home }
    }

    async fn state(&self) -> State {
        let tenant = Tenant::new("acme").unwrap();
        let mut tx = self.service.snapshot().await.unwrap();
        State {
            bodies: Bodies::all(&mut tx, &tenant, &[]).await.unwrap(),
            members: Members::all(&mut tx, &tenant, &[]).await.unwrap(),
            proposals: Proposals::all(&mut tx, &tenant, &[]).await.unwrap(),
            holds: Holds::all(&mut tx, &tenant, &[]).await.unwrap(),
            uses: BreakGlassUses::all(&mut tx, &tenant, &[]).await.unwrap(),
        }
    }

    /// Something that somebody may ask for.
    fn wish(&self, state: &State, who: &str, a: u8, b: u8) -> Option<Kind> {
        let name = pick(&NAMES, b);
        let body = state.bodies.iter().find(|body| body.name == name);
        let id = format!("m{}", self.made);
        let kind = match a % 8 {
            0 => Kind::Resolution(Resolution { text: "We do.".to_owned() }),
            1 => Kind::LiftHold(LiftHold { hold: state.holds.first()?.name.clone(), reason: "over".to_owned() }),
            2 | 3 => {
                let (subject, group) = (pick(&PEOPLE, a / 8), pick(&GROUPS, b / 3));
                Kind::SeatMember(SeatMember { body: name.to_owned(), seat: Some(new_seat(subject, group, id)) })
            }
            4 => {
                let active: Vec<_> = state.members.iter().filter(|member| member.active).collect();
                let member = active.get(usize::from(b) % active.len().max(1))?.name.clone();
                Kind::UnseatMember(UnseatMember { member, ..Default::default() })
            }
            5 => {
                let weak = Some(QuorumRule { min_approvals: 1 + i32::from(b % 2), ..Default::default() });
                let body = Body { quorum: weak, etag: String::new(), ..body?.clone() };
                Kind::AmendBody(AmendBody { body: Some(body), seats: Vec::new() })
            }
            6 => {
                let mut body = body?.clone();
                body.etag.clear();
                body.jurisdiction
                    .push(pick(&["lift_hold", "approve_automation", "amend_body", "break_glass"], a / 8).into());
                Kind::AmendBody(AmendBody { body: Some(body), seats: Vec::new() })
            }
            _ => {
                let rule = QuorumRule { min_approvals: 1, ..Default::default() };
                let body = Body {
                    name: "bodies/board".to_owned(),
                    display_name: "Board".to_owned(),
                    role_groups: GROUPS.map(str::to_owned).into(),
                    quorum: Some(rule),
                    ..Default::default()
                };
                Kind::AmendBody(AmendBody { body: Some(body), seats: vec![new_seat(who, "legal", id)] })
            }
        };
        Some(kind)
    }

    /// Makes one attempt. Whether it is refused does not matter here: what it leaves is looked at.
    async fn attempt(&mut self, (what, by, a, b): Attempt) {
        self.made += 1;
        let before = self.state().await;
        let (who, id) = (pick(&PEOPLE, by), format!("p{}", self.made));
        let cx = cx(who);
        let open: Vec<_> = before.proposals.iter().filter(|one| one.state() == ProposalState::Open).collect();
        let open = open.get(usize::from(a) % open.len().max(1)).copied();
        let answer = match (what % 12, open) {
            (0..=2, _) | (3..=9, None) => {
                let Some(kind) = self.wish(&before, who, a, b) else { return };
                let proposal = Proposal {
                    title: "Shall we?".to_owned(),
                    body: pick(&NAMES, b).to_owned(),
                    action: Some(Action { kind: Some(kind) }),
                    ..Default::default()
                };
                let request = CreateProposalRequest {
                    proposal_id: id,
                    proposal: Some(proposal),
                    open: true,
                    ..Default::default()
                };
                self.service.create_proposal(&cx, request).await.map(drop)
            }
            (3..=8, Some(open)) => {
                let choice = if b % 8 == 7 { VoteChoice::Reject } else { VoteChoice::Approve };
                let request = VoteRequest {
                    name: open.name.clone(),
                    choice: choice.into(),
                    content_digest: open.content_digest.clone(),
                    ..Default::default()
                };
                self.service.vote(&cx, request).await.map(drop)
            }
            (9, Some(open)) => {
                let request =
                    RecuseRequest { name: open.name.clone(), reason: "a conflict".to_owned(), ..Default::default() };
                let edit = || {
                    let action = Action { kind: self.wish(&before, who, b, a) };
                    let proposal = Proposal { action: Some(action), etag: String::new(), ..open.clone() };
                    UpdateProposalRequest { proposal: Some(proposal), ..Default::default() }
                };
                if b % 2 == 0 {
                    self.service.recuse(&cx, request).await.map(drop)
                } else {
                    self.service.update_proposal(&cx, edit()).await.map(drop)
                }
            }
            (10, _) => {
                let scope = Some(Scope { target: Some(Target::Organisation(true)) });
                let hold = Hold { scope, reason: "stop".to_owned(), ..Default::default() };
                match before.holds.first() {
                    None => {
                        let request = EngageHoldRequest { hold_id: id, hold: Some(hold), ..Default::default() };
                        self.service.engage_hold(&cx, request).await.map(drop)
                    }
                    Some(held) => {
                        let duration = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
                        let reason = "it cannot wait".to_owned();
                        let request =
                            BreakGlassRequest { hold: held.name.clone(), reason, duration, ..Default::default() };
                        let broken = self.service.break_glass(&cx, request).await;
                        let glass = |body: &&Body| body.jurisdiction.iter().any(|kind| kind == "break_glass");
                        let sits = before.bodies.iter().filter(glass).any(|body| sits(&before, &body.name, who));
                        assert!(broken.is_err() || sits, "{who} broke the glass without a seat");
                        broken.map(drop)
                    }
                }
            }
            _ => {
                // Seldom somebody's own seat, mostly another's.
                let active: Vec<_> = before.members.iter().filter(|member| member.active).collect();
                let Some(member) = active.get(usize::from(a) % active.len().max(1)) else { return };
                let request = ResignMemberRequest { name: member.name.clone(), ..Default::default() };
                let left = self.service.resign_member(&cx, request).await;
                assert!(left.is_err() || member.subject == who, "{who} gave up the seat of {}", member.subject);
                left.map(|left| {
                    self.resigned.insert(left.name);
                })
            }
        };
        let defect = answer.err().filter(|error: &Error| error.reason() == "INTERNAL");
        assert!(defect.is_none(), "{defect:?}");
    }

    async fn check(&self) {
        examine(&self.state().await, &self.resigned);
    }
}

/// Nothing has taken effect but by a decision that holds when it is counted again. `resigned` gave up their seats.
fn examine(state: &State, resigned: &BTreeSet<String>) {
    let executed: Vec<_> = state.proposals.iter().filter(|one| one.state() == ProposalState::Executed).collect();
    for proposal in &executed {
        recount(proposal);
    }
    let kinds = || executed.iter().filter_map(|one| one.action.as_ref()?.kind.as_ref());
    for member in &state.members {
        let founding = !member.name.contains("/members/m") || member.name.ends_with("/mia");
        let seated = kinds().any(|kind| match kind {
            Kind::SeatMember(a) => names(&a.body, a.seat.as_ref(), member),
            Kind::AmendBody(a) => {
                let body = a.body.as_ref().map_or("", |body| body.name.as_str());
                a.seats.iter().any(|seat| names(body, Some(seat), member))
            }
            _ => false,
        });
        assert!(founding || seated, "nobody decided that {} sits there", member.name);
        let unseated = kinds().any(|kind| matches!(kind, Kind::UnseatMember(a) if a.member == member.name));
        let ended = member.active || unseated || resigned.contains(&member.name);
        assert!(ended, "nobody decided that {} leaves", member.name);
    }
    let seeds = crate::body::seeds(Timestamp(0));
    for body in &state.bodies {
        let same = |other: &Body| other.quorum == body.quorum && other.jurisdiction == body.jurisdiction;
        let seeded = seeds.iter().any(|seed| seed.name == body.name && same(seed));
        let amended = kinds().any(|kind| match kind {
            Kind::AmendBody(a) => a.body.as_ref().is_some_and(|after| after.name == body.name && same(after)),
            _ => false,
        });
        assert!(seeded || amended, "nobody decided what {} is now: {body:?}", body.name);
        let weak = body.jurisdiction.iter().filter_map(|kind| act(kind)).find(|act| {
            let rule = body.quorum.as_ref().map(crate::body::rule).unwrap_or_default();
            !act.floor.lacking(&rule).is_empty()
        });
        assert!(weak.is_none(), "{} decides {weak:?} under {:?}", body.name, body.quorum);
    }
    for kind in seeds.iter().flat_map(|seed| &seed.jurisdiction) {
        assert!(state.bodies.iter().any(|body| body.jurisdiction.contains(kind)), "nobody decides {kind} any more");
    }
    for hold in &state.holds {
        match hold.state() {
            HoldState::Lifted => {
                let lifts = |one: &&&Proposal| one.name == hold.lift_proposal;
                assert!(executed.iter().any(|one| lifts(&one)), "nobody decided to lift {}", hold.name);
            }
            HoldState::Bypassed => assert!(state.uses.iter().any(|used| used.hold == hold.name)),
            HoldState::Engaged | HoldState::Unspecified => {}
        }
    }
}

fn names(body: &str, seat: Option<&NewSeat>, member: &Member) -> bool {
    seat.is_some_and(|seat| {
        member.name == format!("{body}/members/{}", seat.member_id)
            && (&seat.subject, &seat.role_group) == (&member.subject, &member.role_group)
    })
}

fn sits(state: &State, body: &str, who: &str) -> bool {
    state
        .members
        .iter()
        .any(|member| member.active && member.subject == who && member.name.starts_with(&format!("{body}/members/")))
}

/// Counts the approvals of a decided proposal, without the code that decided it.
fn recount(proposal: &Proposal) {
    let kind = crate::proposal::kind_of(proposal);
    let floor = act(kind).expect("a known act").floor;
    let proposer = proposal.proposer.as_ref().map_or("", |actor| actor.subject.as_str());
    let concerned = match proposal.action.as_ref().and_then(|action| action.kind.as_ref()) {
        Some(Kind::SeatMember(a)) => a.seat.as_ref().map_or("", |seat| seat.subject.as_str()),
        Some(Kind::UnseatMember(a)) => a.subject.as_str(),
        _ => "",
    };
    let (mut people, mut by_group) = (BTreeSet::new(), BTreeMap::<&str, u32>::new());
    for vote in proposal.votes.iter().filter(|vote| vote.void_reason.is_empty() && vote.round == proposal.round) {
        let voter = vote.voter.as_ref().expect("somebody voted").subject.as_str();
        let pinned = proposal.electorate.iter().find(|seat| seat.subject == vote.seat).expect("a pinned seat");
        assert!(
            !pinned.departed && voter != proposer && voter != concerned,
            "{voter} may not decide {}",
            proposal.name
        );
        assert_eq!(vote.content_digest, proposal.content_digest, "{voter} voted on something else");
        if vote.choice() == VoteChoice::Approve {
            assert!(people.insert(voter), "{voter} counts twice");
            *by_group.entry(&pinned.role_group).or_default() += 1;
        }
    }
    let rule = proposal.quorum.clone().expect("a pinned rule");
    let approvals = u32::try_from(people.len()).unwrap();
    assert!(approvals >= floor.min_approvals, "{approvals} decided {kind}");
    assert!(i32::try_from(approvals).unwrap() >= rule.min_approvals, "{approvals} decided against {rule:?}");
    let given = |group: &str| by_group.get(group).copied().unwrap_or(0);
    assert!(floor.groups.iter().all(|group| given(group) >= 1), "{kind} was decided by {by_group:?}");
    let met = |(group, least): (&String, &i32)| i32::try_from(given(group)).unwrap() >= *least;
    assert!(rule.group_minimums.iter().all(met), "{by_group:?} decided against {rule:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_takes_effect_without_a_valid_decision(
        attempts in prop::collection::vec(any::<Attempt>(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for attempt in attempts {
                world.attempt(attempt).await;
                world.check().await;
            }
        });
    }
}

/// The same walk, so that the property above does not hold because nothing ever happens.
#[tokio::test]
async fn what_is_decided_takes_effect() {
    let mut world = World::new().await;
    // pat asks the steering group to seat pat for data, and mia and lea agree.
    let kind = Kind::SeatMember(SeatMember {
        body: STEERING_GROUP.to_owned(),
        seat: Some(new_seat("pat", "data", "m0".to_owned())),
    });
    let proposal = Proposal {
        title: "Shall we?".to_owned(),
        body: STEERING_GROUP.to_owned(),
        action: Some(Action { kind: Some(kind) }),
        ..Default::default()
    };
    let request = CreateProposalRequest {
        proposal_id: "p".to_owned(),
        proposal: Some(proposal),
        open: true,
        ..Default::default()
    };
    let asked = world.service.create_proposal(&cx("pat"), request).await.unwrap();
    assert_eq!(asked.state(), ProposalState::Open);
    for by in [0, 1] {
        world.attempt((3, by, 0, 0)).await;
        world.check().await;
    }
    let state = world.state().await;
    assert!(sits(&state, STEERING_GROUP, "pat"), "{:#?}", state.proposals);
    the_examination_finds(&state, &world.resigned);
}

/// The property can fail: each of these is what it is there to find.
fn the_examination_finds(state: &State, resigned: &BTreeSet<String>) {
    type Spoil = fn(&mut State);
    let spoils: [(&str, Spoil); 11] = [
        ("a seat without a decision", |state| state.proposals.clear()),
        ("one vote of two", |state| drop(state.proposals[0].votes.pop())),
        ("the proposer's own vote", |state| {
            let proposer = state.proposals[0].proposer.clone();
            state.proposals[0].votes[0].voter = proposer;
        }),
        ("one person's vote twice", |state| {
            let voter = state.proposals[0].votes[0].voter.clone();
            state.proposals[0].votes[1].voter = voter;
        }),
        ("a vote on other content", |state| state.proposals[0].votes[0].content_digest.push('0')),
        ("a vote from an earlier round", |state| state.proposals[0].votes[0].round -= 1),
        ("a seat that only somebody wrote", |state| {
            let forged = Member { name: format!("{STEERING_GROUP}/members/m9"), ..state.members[0].clone() };
            state.members.push(forged);
        }),
        ("a seat that somebody took away", |state| state.members[0].active = false),
        ("a weaker rule", |state| {
            let rule =
                state.bodies.iter_mut().find(|body| body.name == STEERING_GROUP).and_then(|body| body.quorum.as_mut());
            rule.unwrap().min_approvals = 1;
        }),
        ("what nobody decides any more", |state| state.bodies.retain(|body| body.name != AUTOMATION_COUNCIL)),
        ("a hold that nobody lifted", |state| {
            let lifted = Hold { name: "holds/h".to_owned(), state: HoldState::Lifted.into(), ..Default::default() };
            state.holds.push(lifted);
        }),
    ];
    examine(state, resigned);
    for (what, spoil) in spoils {
        let mut spoilt = state.clone();
        spoil(&mut spoilt);
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| examine(&spoilt, resigned)));
        assert!(found.is_err(), "{what} goes unnoticed");
    }
}

/// Stopping must work when the service that knows what is stopped is away; that it could not be asked is on record.
#[tokio::test]
async fn a_hold_is_engaged_though_nobody_can_say_what_it_names() {
    let world = World::new().await;
    let hold = |target: Target| EngageHoldRequest {
        hold_id: format!("h{}", matches!(target, Target::Task(_))),
        hold: Some(Hold {
            scope: Some(Scope { target: Some(target) }),
            reason: "stop".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let task = world.service.engage_hold(&cx("mia"), hold(Target::Task("tasks/t".to_owned()))).await.unwrap();
    assert_eq!((task.state(), task.scope_verified), (HoldState::Engaged, false));
    let all = world.service.engage_hold(&cx("mia"), hold(Target::Organisation(true))).await.unwrap();
    assert_eq!((all.state(), all.scope_verified), (HoldState::Engaged, true));
}
