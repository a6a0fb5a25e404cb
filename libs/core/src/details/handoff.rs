//! What handoff records. States, kinds and reasons stand in it as their words, times as RFC 3339 writes them.

use super::details;
use serde_json::Value;

/// Where a handoff went with an event: part of the details of everything that happens to one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// The state before; empty at the creation.
    pub from: String,
    /// The state after.
    pub to: String,
    /// The iteration after, counted from 1; 0 before the first run.
    pub iteration: i32,
    /// The gate version in force.
    pub gate_version: String,
}

/// Where a lead is after an event: part of the details of everything that happens to a routing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed {
    /// Where the lead goes.
    pub destination: String,
    /// Where it is.
    pub state: String,
    /// The gate version in force.
    pub gate_version: String,
}

/// Details of something that happens to a handoff.
pub trait OfHandoff: super::Details {
    /// Says where the handoff went.
    fn set_moved(&mut self, moved: Moved);
    /// Where the handoff went.
    fn moved(self) -> Moved;
}

/// Details of something that happens to a routing.
pub trait OfRouting: super::Details {
    /// Says where the lead is.
    fn set_placed(&mut self, placed: Placed);
}

/// Gives the types of each kind of resource the fields that all of them have.
macro_rules! all {
    (
        handoffs {$(
            $(#[doc = $text:literal])+
            $name:ident for [$($action:literal),*] { $($(#[doc = $field_text:literal])+ $field:ident: $kind:ty,)* }
        )*}
        routings {$(
            $(#[doc = $lead_text:literal])+
            $lead:ident for [$($lead_action:literal),*] {
                $($(#[doc = $lead_field_text:literal])+ $lead_field:ident: $lead_kind:ty,)*
            }
        )*}
        others { $($other:tt)* }
    ) => {
        details! {
            $(
                $(#[doc = $text])+
                $name for [$($action),*] {
                    /// The state before; empty at the creation.
                    from: String,
                    /// The state after.
                    to: String,
                    /// The iteration after, counted from 1; 0 before the first run.
                    iteration: i32,
                    /// The gate version in force.
                    gate_version: String,
                    $($(#[doc = $field_text])+ $field: $kind,)*
                }
            )*
            $(
                $(#[doc = $lead_text])+
                $lead for [$($lead_action),*] {
                    /// Where the lead goes.
                    destination: String,
                    /// Where it is.
                    state: String,
                    /// The gate version in force.
                    gate_version: String,
                    $($(#[doc = $lead_field_text])+ $lead_field: $lead_kind,)*
                }
            )*
            $($other)*
        }

        $(
            impl OfHandoff for $name {
                fn set_moved(&mut self, moved: Moved) {
                    self.from = moved.from;
                    self.to = moved.to;
                    self.iteration = moved.iteration;
                    self.gate_version = moved.gate_version;
                }

                fn moved(self) -> Moved {
                    Moved {
                        from: self.from,
                        to: self.to,
                        iteration: self.iteration,
                        gate_version: self.gate_version,
                    }
                }
            }
        )*

        $(
            impl OfRouting for $lead {
                fn set_placed(&mut self, placed: Placed) {
                    self.destination = placed.destination;
                    self.state = placed.state;
                    self.gate_version = placed.gate_version;
                }
            }
        )*

        /// Where the event of an action took its handoff; `None` if that is no event of a handoff.
        pub fn moved(action: &str, details: &Value) -> Option<Moved> {
            match action {
                $($($action)|* => <$name as super::Details>::read(details).map(OfHandoff::moved),)*
                _ => None,
            }
        }
    };
}

all! {
    handoffs {
        /// A handoff was created.
        HandoffCreated for ["handoff.handoffs.create"] {
            /// The task of the inventory.
            task: String,
        }

        /// A handoff's description was edited.
        HandoffUpdated for ["handoff.handoffs.update"] {
            /// The fields that changed.
            fields: Vec<String>,
        }

        /// A trigger event happened elsewhere.
        TriggerRecorded for ["handoff.handoffs.trigger"] {
            /// Its id in the system that reported it.
            event_id: String,
            /// Its type, one of the gate's triggers.
            event_type: String,
            /// The system.
            source: String,
        }

        /// AI began an iteration.
        RunStarted for ["handoff.runs.start"] {
            /// The version of the prompt.
            prompt_version: String,
            /// The version of the guardrail; empty if none.
            guardrail_version: String,
            /// The version of the style guide; empty if none.
            style_guide_version: String,
            /// The policy version by which scoring permitted it.
            policy: String,
        }

        /// A handoff went on, for the reason of the event and with nothing else to say.
        HandoffMoved for [
            "handoff.runs.fail",
            "handoff.reviews.release",
            "handoff.handoffs.escalate",
            "handoff.handoffs.cancel",
            "handoff.handoffs.suspend",
            "handoff.handoffs.resume"
        ] {}

        /// Variants were delivered for review.
        VariantsSubmitted for ["handoff.variants.submit"] {
            /// How many.
            variants: i64,
            /// The digest over id and content digest of each.
            content_digest: String,
            /// When the review is due.
            due: Option<String>,
        }

        /// A person replaced the content of a variant.
        VariantEdited for ["handoff.variants.edit"] {
            /// The variant.
            variant: String,
            /// The digest of the content before.
            content_before: String,
            /// The digest of the content after.
            content_after: String,
            /// The override; empty where a person corrected a person's work.
            override_name: String,
            /// The reason in words.
            text: String,
        }

        /// A reviewer claimed a review.
        ReviewClaimed for ["handoff.reviews.claim"] {
            /// When it was offered.
            offered_at: Option<String>,
            /// Who had claimed it before; empty if nobody.
            taken_from: String,
        }

        /// A review was decided.
        ReviewDecided for ["handoff.reviews.submit"] {
            /// From offer to decision, in microseconds.
            decision_latency_us: i64,
            /// How often people edited the variants before.
            edits_before: i32,
            /// The variants that passed.
            passed: Vec<String>,
            /// What was graded.
            totals: Vec<Graded>,
            /// The reasons given, each once.
            reasons: Vec<String>,
            /// The digest that the reviewer signed; none where nothing passed.
            signed_digest: Option<String>,
            /// The prompt version for the next iteration; empty where the work does not go back to AI.
            next_prompt_version: String,
        }

        /// What was signed went out.
        HandoffPublished for ["handoff.handoffs.publish"] {
            /// The digest that the reviewer signed.
            signed_digest: String,
            /// What was published.
            variants: Vec<Released>,
        }

        /// A triage was held.
        TriageCompleted for ["handoff.triages.complete"] {
            /// What came of it.
            outcome: String,
        }

        /// A person overrode a result.
        HandoffOverridden for ["handoff.handoffs.override"] {
            /// The override; empty where no result of AI was overridden and the person is one of the gate's.
            override_name: String,
            /// The reason in words.
            text: String,
            /// Whether the person is none of the people of the gate.
            outsider: bool,
        }

        /// A review was about to be late.
        ReviewReminded for ["handoff.reviews.remind"] {
            /// Who is responsible.
            responsible: Option<String>,
            /// Who has claimed it; empty if nobody.
            claimed_by: String,
            /// When it is due.
            due: Option<String>,
            /// The timer.
            timer: String,
            /// When the timer was due.
            due_time: String,
            /// When that was noticed.
            detect_time: String,
        }

        /// A review or a triage was late.
        ClockRanOut for ["handoff.reviews.breach", "handoff.triages.breach"] {
            /// The clock: `review` or `triage`.
            clock: String,
            /// The number of the clock of that kind, counted from 1.
            round: i32,
            /// The rung of the ladder that is responsible now, counted from 1.
            rung: i32,
            /// Who was called; none if the ladder was at its end.
            called: Option<String>,
            /// The timer.
            timer: String,
            /// When the timer was due.
            due_time: String,
            /// When that was noticed.
            detect_time: String,
        }

        /// A hold of the council stopped a step of AI's work: the handoff shows it until a step is permitted again.
        HandoffHeld for ["handoff.handoffs.hold"] {
            /// The holds, each in words.
            holds: Vec<String>,
        }

        /// A handoff was not finished in time.
        HandoffExpired for ["handoff.handoffs.expire"] {
            /// The timer.
            timer: String,
            /// When the timer was due.
            due_time: String,
            /// When that was noticed.
            detect_time: String,
        }
    }

    routings {
        /// A lead was routed.
        LeadRouted for ["handoff.routings.route"] {
            /// Why it went where it went.
            reasons: Vec<String>,
            /// The score, 0 to 1; none if there was none.
            score: Option<f64>,
            /// The enrichment confidence, 0 to 1; none if there was none.
            enrichment_confidence: Option<f64>,
            /// Whether the lead is of high intent.
            high_intent: bool,
            /// The person who has the lead; empty in nurture.
            owner: String,
            /// The group that was notified; empty if none.
            notified_group: String,
            /// Whether a person shall check the decision.
            sampled: bool,
            /// The pattern under which scoring permitted the model version, such as `HUMAN_IN_THE_LOOP`.
            pattern: String,
            /// Until when its owner is to accept it, or somebody to decide, RFC 3339; empty if nobody is asked.
            due: String,
        }

        /// A lead was accepted.
        LeadAccepted for ["handoff.routings.accept"] {
            /// The number of the assignment, counted from 1.
            round: i64,
        }

        /// A lead was passed on.
        LeadReassigned for ["handoff.routings.reassign"] {
            /// Who had it; empty if it was with Sales Ops.
            from: String,
            /// Who has it; empty if it is with Sales Ops.
            to: String,
            /// Whom the caller named.
            wanted: String,
            /// How often it has been passed on.
            reassignments: i64,
            /// Until when who has it is to accept it, RFC 3339; empty if it is with Sales Ops.
            due: String,
        }

        /// A person checked a routing.
        RoutingReviewed for ["handoff.routings.review"] {
            /// Whether the decision was drawn for a check.
            sampled: bool,
            /// The override; empty where the person confirmed the destination.
            override_name: String,
            /// The reason in words; empty where the person confirmed the destination.
            text: String,
            /// Whether the lead was held for this decision.
            held: bool,
            /// Whether the person is none of the people of the gate.
            outsider: bool,
            /// Whether the lead waits until a person of the gate decides, because an outsider alone cannot send it there.
            proposes: bool,
        }

        /// A lead was not accepted in time, or nobody decided about a held one.
        LeadLate for ["handoff.routings.breach", "handoff.decisions.breach"] {
            /// Who had it; empty for a held one.
            owner: String,
            /// The number of the assignment, or of the wait for a decision, counted from 1.
            round: i64,
            /// Who was called; empty if the ladder was at its end.
            called: String,
            /// The timer.
            timer: String,
            /// When the timer was due.
            due_time: String,
            /// When that was noticed.
            detect_time: String,
        }
    }

    others {
        /// One graded variant of a review.
        Graded for [] {
            /// The variant.
            variant: String,
            /// The digest of the content that was graded.
            content_digest: String,
            /// The weighted mean of the grades, 0 to 100.
            total: f64,
            /// Whether it passed.
            passed: bool,
        }

        /// One published variant.
        Released for [] {
            /// The variant.
            variant: String,
            /// The digest of its content.
            content_digest: String,
        }

        /// A gate version was put in force.
        GateActivated for ["handoff.gates.activate"] {
            /// The version that it replaces; none if it is the first.
            superseded: Option<String>,
            /// Who answers for the outcomes.
            accountable_person: String,
            /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
            proposal: String,
            /// Whether it is stricter or looser than the one before: `SAME`, `TIGHTENS`, `LOOSENS` or `MIXED`.
            change: String,
            /// In which fields, each with what was and what is.
            changes: Vec<String>,
        }

        /// A calendar was changed.
        CalendarChanged for ["handoff.calendars.update"] {
            /// Whether its working time is stricter or looser than before: `SAME`, `TIGHTENS`, `LOOSENS` or `MIXED`.
            change: String,
            /// What became looser, or may have, each with what was and what is.
            loosened: Vec<String>,
            /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
            proposal: String,
        }

        /// An override was linked to what was done about its cause.
        FollowUpLinked for ["handoff.overrides.link"] {
            /// The name or address of the follow-up.
            follow_up: String,
            /// What was overridden.
            resource: String,
        }

        /// The briefing of a day was issued.
        BriefingIssued for ["handoff.briefings.issue"] {
            /// Leads routed to sales on the day.
            routed: i64,
            /// Leads sent to nurture on the day.
            nurtured: i64,
            /// Leads of high intent among both.
            high_intent: i64,
            /// Leads whose clock ran out on the day.
            breached: i64,
            /// The timer.
            timer: String,
            /// When the timer was due.
            due_time: String,
            /// When that was noticed.
            detect_time: String,
        }

        /// A person has read a briefing.
        BriefingAcknowledged for ["handoff.briefings.acknowledge"] {
            /// When it was issued.
            issued: Option<String>,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Details as _;
    use super::*;

    #[test]
    fn where_a_handoff_went_is_read_from_the_events_of_handoffs_alone() {
        let place = Moved { from: "IN_REVIEW".into(), to: "ACCEPTED".into(), iteration: 1, ..Moved::default() };
        let mut decided = ReviewDecided { edits_before: 2, ..ReviewDecided::default() };
        decided.set_moved(place.clone());
        let details = decided.json();
        assert_eq!(moved("handoff.reviews.submit", &details), Some(place));
        assert_eq!(ReviewDecided::read(&details), Some(decided));
        assert_eq!(moved("handoff.reviews.claim", &details), None);
        assert_eq!(moved("handoff.gates.activate", &GateActivated::default().json()), None);
    }
}
