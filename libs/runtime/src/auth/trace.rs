//! What an examination of a token found, step by step: for verifying only its end counts, for explaining all of it.

use remit_core::{Error, Result};

/// One step of an examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub name: &'static str,
    /// What was found, or why it was refused.
    pub text: String,
    /// The reason code, if it was refused.
    pub refused: Option<&'static str>,
    /// Whether it may be believed: nothing that comes after a signature that was left aside or found wrong.
    pub proved: bool,
}

/// An examination under way.
#[derive(Debug, Default)]
pub(super) struct Exam {
    explains: bool,
    offline: bool,
    steps: Vec<Step>,
    first: Option<Error>,
    unsigned: bool,
    doubts: bool,
}

impl Exam {
    /// One that ends at the first refusal and keeps nothing else.
    pub fn verifying() -> Self {
        Self::default()
    }

    /// One that keeps every step and goes on after a refusal as far as it makes sense. Nothing but its explanation may
    /// come of it.
    pub fn explaining(offline: bool) -> Self {
        Self { explains: true, offline, ..Self::default() }
    }

    /// Whether the signature may be left aside because the keys cannot be had. Never when verifying.
    pub fn may_skip_signature(&self) -> bool {
        self.explains && self.offline
    }

    /// Says that the signature was left aside.
    pub fn skip_signature(&mut self, why: String) {
        self.unsigned = true;
        self.doubt();
        self.note("signature", || why);
    }

    /// Says that what follows is only what the token says, as nothing proves it.
    pub fn doubt(&mut self) {
        self.doubts = true;
    }

    /// Whether the signature was left aside.
    pub fn is_unsigned(&self) -> bool {
        self.unsigned
    }

    /// Notes what a step found.
    pub fn note(&mut self, name: &'static str, text: impl FnOnce() -> String) {
        if self.explains {
            self.steps.push(Step { name, text: text(), refused: None, proved: !self.doubts });
        }
    }

    /// Adds to the last step what only those may read who have the configuration before them.
    pub fn add(&mut self, text: impl FnOnce() -> String) {
        if let Some(last) = self.steps.last_mut() {
            last.text = format!("{}; {}", last.text, text());
        }
    }

    /// Notes a refusal, which ends the examination unless it explains.
    pub fn refuse(&mut self, name: &'static str, error: Error) -> Result<()> {
        if !self.explains {
            return Err(error);
        }
        let (text, refused) = (error.message().to_owned(), Some(error.reason()));
        // One step is not both right and wrong.
        match self.steps.iter_mut().find(|step| step.name == name && step.refused.is_none()) {
            Some(step) => (step.text, step.refused) = (format!("{text}; {}", step.text), refused),
            None => self.steps.push(Step { name, text, refused, proved: false }),
        }
        self.first.get_or_insert(error);
        Ok(())
    }

    /// Notes what a step found, or a refusal; nothing comes of one only where it explains.
    pub fn find<T>(
        &mut self,
        name: &'static str,
        found: Result<T>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<Option<T>> {
        match found {
            Ok(found) => {
                self.note(name, || describe(&found));
                Ok(Some(found))
            }
            Err(error) => {
                self.refuse(name, error)?;
                Ok(None)
            }
        }
    }

    /// What ends an explanation that cannot go on; what it says was noted before.
    pub fn over() -> Error {
        Error::internal("an explanation ends before an identity")
    }

    /// The steps, and the first refusal.
    pub fn end(self) -> (Vec<Step>, Option<Error>) {
        (self.steps, self.first)
    }
}
