//! Enums as words: what stands in columns, filters, audit details and exports is the name of the value without
//! the prefix that protobuf asks for, `ENGAGED` for `HOLD_STATE_ENGAGED`. Cut once, when the contract is built.

/// An enum of the contract.
pub trait Word: Copy + Default + TryFrom<i32> + Into<i32> + 'static {
    /// The words and numbers of all values but the one that means nothing, in the order of the proto file.
    const VALUES: &'static [(&'static str, i32)];
    /// The words alone, for filters.
    const WORDS: &'static [&'static str];

    /// The word of this value; empty for the one that means nothing.
    fn word(self) -> &'static str {
        Self::word_of(self.into())
    }

    /// The word of a number as it stands in a message; empty for the one that means nothing and for numbers that
    /// this version does not know.
    fn word_of(number: i32) -> &'static str {
        Self::VALUES.iter().find(|(_, of)| *of == number).map_or("", |(word, _)| word)
    }

    /// The value of a word, if it is one.
    fn parse(word: &str) -> Option<Self> {
        let (_, number) = Self::VALUES.iter().find(|(known, _)| *known == word)?;
        Self::try_from(*number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Word as _;
    use crate::council::v1::HoldState;

    #[test]
    fn a_value_has_one_word() {
        assert_eq!(
            (HoldState::Engaged.word(), HoldState::word_of(99), HoldState::default().word()),
            ("ENGAGED", "", "")
        );
        assert_eq!(HoldState::parse("ENGAGED"), Some(HoldState::Engaged));
        assert_eq!((HoldState::parse("HOLD_STATE_ENGAGED"), HoldState::parse("")), (None, None));
        assert_eq!(HoldState::WORDS.len(), HoldState::VALUES.len());
    }
}
