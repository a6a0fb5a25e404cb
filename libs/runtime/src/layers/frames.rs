//! Reading along the frames of a request: a flag, four bytes of length, and so many bytes of message.
//!
//! Source: gRPC over HTTP/2, "Length-Prefixed-Message".

const HEADER: usize = 5;

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is not framed as gRPC, and how.
    Framing(String),
    /// A message says that it has more bytes than its method takes.
    Large { size: usize, most: usize },
}

impl Wrong {
    fn framing(what: &str) -> Self {
        Self::Framing(what.to_owned())
    }
}

/// Where in which frame.
#[derive(Debug)]
pub(super) struct Frames {
    /// Whether there must be exactly one message.
    single: bool,
    /// The most bytes of one message.
    most: usize,
    header: [u8; HEADER],
    /// How much of the header is there.
    have: usize,
    /// How many bytes the message has, and how many are still to come.
    size: usize,
    left: usize,
    /// The messages that are complete.
    messages: u64,
}

impl Frames {
    pub(super) fn new(single: bool, most: usize) -> Self {
        Self { single, most, header: [0; HEADER], have: 0, size: 0, left: 0, messages: 0 }
    }

    /// The messages that are complete.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// How many bytes are there of a message that is not complete.
    pub(super) fn held(&self) -> usize {
        if self.have == HEADER { HEADER + self.size - self.left } else { self.have }
    }

    /// Whether the one message of a call is there.
    pub(super) fn is_complete(&self) -> bool {
        self.single && self.messages > 0
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), Wrong> {
        while !data.is_empty() {
            if self.have == HEADER {
                let some = self.left.min(data.len());
                data = data.get(some..).unwrap_or_default();
                self.left -= some;
            } else {
                if self.is_complete() {
                    return Err(Wrong::framing("the method takes one message, and there are more"));
                }
                let some = (HEADER - self.have).min(data.len());
                let (now, rest) = data.split_at(some);
                if let Some(place) = self.header.get_mut(self.have..self.have + some) {
                    place.copy_from_slice(now);
                }
                (self.have, data) = (self.have + some, rest);
                let [flag, length @ ..] = self.header;
                match flag {
                    0 => {}
                    1 => {
                        let what = "a message says that it is compressed, and no grpc-encoding says how";
                        return Err(Wrong::framing(what));
                    }
                    other => {
                        let what = format!("the flag of a message is {other}, where only 0 and 1 are known");
                        return Err(Wrong::Framing(what));
                    }
                }
                if self.have < HEADER {
                    return Ok(());
                }
                self.size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                // Before any of it is kept.
                if self.size > self.most {
                    return Err(Wrong::Large { size: self.size, most: self.most });
                }
                self.left = self.size;
            }
            if self.have == HEADER && self.left == 0 {
                self.have = 0;
                self.messages += 1;
            }
        }
        Ok(())
    }

    /// Looks at the end.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn end(&self) -> Result<(), Wrong> {
        if self.have > 0 && self.have < HEADER {
            return Err(Wrong::Framing(format!("it ends after {} of the {HEADER} bytes before a message", self.have)));
        }
        if self.have == HEADER {
            return Err(Wrong::Framing(format!("a message ends {} bytes early", self.left)));
        }
        if self.single && self.messages == 0 {
            return Err(Wrong::framing("there is no message"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is found wrong with a body that comes in pieces of `size` bytes.
    fn found(body: &[u8], single: bool, size: usize) -> Result<(), Wrong> {
        let mut frames = Frames::new(single, 100);
        for piece in body.chunks(size) {
            frames.read(piece)?;
        }
        frames.end()
    }

    #[test]
    fn however_a_body_is_cut_the_same_is_wrong_with_it() {
        let good: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
        let two = [good, good].concat();
        let cases: [(&[u8], bool, &str); 13] = [
            (good, true, ""),
            (&[0, 0, 0, 0, 0], true, ""),
            (&two, false, ""),
            (&[], false, ""),
            (&[], true, "no message"),
            (&two, true, "there are more"),
            (&good[..6], true, "1 bytes early"),
            (&good[..3], true, "after 3 of the 5"),
            (&two[..9], false, "after 2 of the 5"),
            (&[2, 0, 0, 0, 0], true, "flag of a message is 2"),
            (&[1, 0, 0, 0, 1, 7], false, "compressed"),
            (&[0, 0, 0, 0, 101, 1], true, "size: 101,"),
            (&[0, 0xff, 0xff, 0xff, 0xff], false, "size: 4294967295,"),
        ];
        for (body, single, want) in cases {
            for size in 1..=body.len().max(1) {
                match found(body, single, size) {
                    Ok(()) => assert_eq!(want, "", "{body:?} in pieces of {size}"),
                    Err(what) => {
                        let what = format!("{what:?}");
                        assert!(!want.is_empty() && what.contains(want), "{body:?} in pieces of {size}: {what}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_call_of_one_message_is_complete_with_it() {
        let mut frames = Frames::new(true, 100);
        frames.read(&[0, 0, 0]).unwrap();
        assert_eq!((frames.held(), frames.messages()), (3, 0));
        frames.read(&[0, 2, 8]).unwrap();
        assert!(!frames.is_complete());
        assert_eq!((frames.held(), frames.messages()), (6, 0));
        frames.read(&[1]).unwrap();
        assert!(frames.is_complete());
        assert_eq!((frames.held(), frames.messages()), (0, 1));
        frames.end().unwrap();
    }
}
