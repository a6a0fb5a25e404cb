//! Details of the events of `scoring`.

super::details! {
    /// A version of a decision policy was stored.
    PolicyCreated for ["scoring.policies.create"] {
        /// Where it stands: `DRAFT`, or `ACTIVE` for the one that a tenant starts with.
        state: String,
        /// Whether its file allows that it is activated.
        activatable: bool,
        /// Whether lint found no error in it; none if it was not asked, of what every tenant starts with.
        lint_passed: Option<bool>,
        /// Whether it is one that every tenant starts with.
        seed: bool,
    }

    /// A candidate was tried on the decisions on record.
    PolicyBacktested for ["scoring.policies.backtest"] {
        /// Decisions replayed.
        decisions: i64,
        /// Of these, those that the candidate would have decided more automatically.
        toward_ai: i64,
        /// Of these, those that it would have decided more humanly.
        toward_human: i64,
    }

    /// A version became the active policy.
    PolicyActivated for ["scoring.policies.activate"] {
        /// The proposal that asked for it, `proposals/{proposal}`.
        proposal: String,
        /// The backtest that it carried, `backtests/{backtest}`.
        backtest: String,
        /// The digest of that backtest.
        backtest_digest: String,
        /// The version that was active before, `policies/{policy}/versions/{version}`; none if there was none.
        superseded: Option<String>,
    }

    /// What is known about a function was changed.
    FunctionUpdated for ["scoring.functions.update"] {
        /// Decided tasks of the function that await a new decision.
        tasks_reopened: i64,
        /// Whether it is one that every tenant starts with.
        seed: bool,
        /// Whether it is stricter or looser than before: `SAME`, `TIGHTENS`, `LOOSENS` or `MIXED`; empty for a seed.
        change: String,
        /// What became looser, or may have, each with what was and what is.
        loosened: Vec<String>,
        /// The proposal that decided it, `proposals/{proposal}`; empty if none was needed.
        proposal: String,
    }

    /// A task was created or changed.
    TaskChanged for ["scoring.tasks.create", "scoring.tasks.update", "scoring.tasks.import"] {
        /// Which tags became looser, or may have, each with what was and what is. Of a task that is created where one of
        /// its name was deleted, compared with that one.
        loosened: Vec<String>,
        /// The program whose word the tags are until a person confirms them; empty if a person gave or confirmed them.
        tags_claimed_by: String,
        /// Whether one of its name was deleted before, whose ratings it took back.
        restored: bool,
    }

    /// A task was rated.
    TaskRated for ["scoring.tasks.rate"] {
        /// Whose rating it is: the subject of the rater's token.
        rater: String,
        /// Who entered it for the rater: the subject of that token; empty if it is the rater's own.
        entered_by: String,
    }

    /// A task was decided.
    TaskDecided for ["scoring.decisions.create"] {
        /// The task, `tasks/{task}`.
        task: String,
        /// The task's content digest at that moment.
        task_digest: String,
        /// Who does the work and who watches, such as `HUMAN_IN_THE_LOOP`.
        pattern: String,
        /// The band of the score; empty if a rule of the table decided.
        band: String,
        /// The ids of the caps that moved the outcome toward people, in the order of the policy.
        caps: Vec<String>,
        /// The digest of the policy.
        policy_digest: String,
        /// Whether it rests on ratings that others entered for the raters.
        claimed: bool,
    }

    /// A platform asked whether AI may do a task. Of checks that permit, the first of an outcome in an hour is recorded and
    /// every so many after it. Each that denies is recorded, up to a number an hour; those beyond are put together, so that
    /// entries and groups together are all denials.
    TaskChecked for ["scoring.tasks.check"] {
        /// The decision in force, `decisions/{decision}`; empty if there was none.
        decision: String,
        /// The caller's id of the run; empty if it gave none.
        run_id: String,
        /// Which check of its outcome in its hour this is, from 1; of a group, the last in it.
        checks_this_hour: i64,
        /// How often one is recorded: 1 of denials.
        recorded_every: i64,
        /// Of a group of denials, how many it is; 0 if this is one check.
        group: i64,
        /// Of a group, when the first of it was answered.
        first_time: String,
        /// Of a group, when the last of it was answered.
        last_time: String,
        /// Of a group, the timer that put it together.
        timer: String,
        /// When that timer was due.
        due_time: String,
        /// When that was noticed.
        detect_time: String,
    }
}
