//! Details of the events of refusals, which stand under the action of the method that was refused.

super::details! {
    /// Of any action with the outcome `DENIED`, instead of what stands beside a success: a rule refused the caller, the
    /// event's reason says which.
    ActionRefused for [] {
        /// What the caller was told, cut to 1000 characters.
        message: String,
        /// How many refusals of this caller, method and reason came since the entry before, without an entry of their
        /// own; 0 if each has one.
        unrecorded: u64,
    }
}
