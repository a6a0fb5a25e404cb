//! Reading along the frames of a request: a flag, four bytes of length, and so many bytes of message.
//!
//! Source: gRPC over HTTP/2, "Length-Prefixed-Message".

const HEADER: usize = 5;

/// Where in which frame.
#[derive(Debug)]
pub(super) struct Frames {
    /// Whether there must be exactly one message.
    single: bool,
    header: [u8; HEADER],
    /// How much of the header is there.
    have: usize,
    /// How much of the message is still to come.
    left: usize,
    /// The messages that are complete.
    messages: u64,
}

impl Frames {
    pub(super) fn new(single: bool) -> Self {
        Self { single, header: [0; HEADER], have: 0, left: 0, messages: 0 }
    }

    /// Whether the one message of a call is there.
    pub(super) fn is_complete(&self) -> bool {
        self.single && self.messages > 0
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), String> {
        while !data.is_empty() {
            if self.have == HEADER {
                let some = self.left.min(data.len());
                data = data.get(some..).unwrap_or_default();
                self.left -= some;
            } else {
                if self.is_complete() {
                    return Err("the method takes one message, and there are more".to_owned());
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
                    1 => return Err("a message says that it is compressed, and no grpc-encoding says how".to_owned()),
                    other => return Err(format!("the flag of a message is {other}, where only 0 and 1 are known")),
                }
                if self.have < HEADER {
                    return Ok(());
                }
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
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
    pub(super) fn end(&self) -> Result<(), String> {
        if self.have > 0 && self.have < HEADER {
            return Err(format!("it ends after {} of the {HEADER} bytes before a message", self.have));
        }
        if self.have == HEADER {
            return Err(format!("a message ends {} bytes early", self.left));
        }
        if self.single && self.messages == 0 {
            return Err("there is no message".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is found wrong with a body that comes in pieces of `size` bytes.
    fn found(body: &[u8], single: bool, size: usize) -> Result<(), String> {
        let mut frames = Frames::new(single);
        for piece in body.chunks(size) {
            frames.read(piece)?;
        }
        frames.end()
    }

    #[test]
    fn however_a_body_is_cut_the_same_is_wrong_with_it() {
        let good: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
        let two = [good, good].concat();
        let cases: [(&[u8], bool, &str); 11] = [
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
        ];
        for (body, single, want) in cases {
            for size in 1..=body.len().max(1) {
                match found(body, single, size) {
                    Ok(()) => assert_eq!(want, "", "{body:?} in pieces of {size}"),
                    Err(what) => {
                        assert!(!want.is_empty() && what.contains(want), "{body:?} in pieces of {size}: {what}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_call_of_one_message_is_complete_with_it() {
        let mut frames = Frames::new(true);
        frames.read(&[0, 0, 0, 0, 2, 8]).unwrap();
        assert!(!frames.is_complete());
        frames.read(&[1]).unwrap();
        assert!(frames.is_complete());
        frames.end().unwrap();
    }
}
