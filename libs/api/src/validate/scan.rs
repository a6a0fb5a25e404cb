//! The bytes of a request against its bounds, before anything is built of them.
//!
//! An empty item takes two bytes on the wire and hundreds in memory, so what a message may hold is counted first, by
//! the same plan, without allocating. The first bound that is broken ends it. What is wrong with the bytes otherwise
//! is left to the decoder, except where it would follow them further than this does.

use super::Violation;
use super::path::Path;
use super::rules::broken;
use super::table::{Field, MOST_FIELDS, Many, Plan, Request, Wire};
use super::view::Seen;

/// How many messages may stand in each other; the contract needs eight, and the rest is for `google.protobuf.Struct`.
const MOST_DEEP: usize = 16;
/// Fields that this version does not know are left out, as proto3 asks, and read all the same.
const MOST_UNKNOWN: usize = 1_000;
/// A request may have one value for so many bytes of its limit.
const BYTES_A_VALUE: usize = 8;

/// Why a scan ended early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A field has more than it may.
    Bound(Violation),
    /// The message has more in all than it may.
    Total(String),
    /// The bytes are no such message.
    Malformed(String),
}

/// A scan, and how far it came.
pub(super) struct Scan {
    /// Values met so far: fields, items and what stands in them.
    pub visited: usize,
    most: usize,
    unknown: usize,
    /// Whether lengths of text count: not in an update, which looks at nothing but what its mask names.
    texts: bool,
}

impl Scan {
    /// A scan of a request of this kind.
    pub fn of(request: &Request) -> Self {
        Self { visited: 0, most: request.most / BYTES_A_VALUE, unknown: 0, texts: request.mask.is_none() }
    }

    /// Looks through a whole request.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn request(&mut self, bytes: &[u8], plan: &'static Plan) -> Result<(), Broken> {
        self.message(bytes, plan, &Path::Root, 0)
    }

    fn message(&mut self, bytes: &[u8], plan: &'static Plan, path: &Path<'_>, depth: usize) -> Result<(), Broken> {
        if depth >= MOST_DEEP {
            return Err(bound(path, format!("must not stand in more than {MOST_DEEP} messages")));
        }
        let mut counts = [0_u32; MOST_FIELDS];
        let mut rest = Rest(bytes);
        while !rest.0.is_empty() {
            let (number, wire) = rest.key()?;
            let Some((at, field)) = plan.numbered(number) else {
                rest.value(wire)?;
                self.pass(1)?;
                self.unknown += 1;
                if self.unknown > MOST_UNKNOWN {
                    let text =
                        format!("the message has more than {MOST_UNKNOWN} fields that {} does not have", plan.name);
                    return Err(Broken::Total(text));
                }
                continue;
            };
            let value = rest.value(wire)?;
            let path = Path::Field(path, field.name);
            let packed = field.many == Many::List && field.wire != Wire::Sized && wire == Wire::Sized;
            let wanted = if field.many == Many::Map { Wire::Sized } else { field.wire };
            if wire != wanted && !packed {
                let text = format!("{path} is of wire type {} instead of {}", wire.number(), wanted.number());
                return Err(Broken::Malformed(text));
            }
            let values = if packed { unpacked(value, field.wire) } else { 1 };
            self.pass(values)?;
            if let Some(count) = counts.get_mut(at) {
                let before = usize::try_from(*count).unwrap_or(usize::MAX);
                *count = count.saturating_add(u32::try_from(values).unwrap_or(u32::MAX));
                if *count > field.most {
                    return Err(bound(&path, too_many(field)));
                }
                let item = Path::Item(&path, before);
                match field.many {
                    Many::One => self.value(value, field, &path, depth)?,
                    Many::List => self.value(value, field, &item, depth)?,
                    Many::Map => self.entry(value, field, &item, depth)?,
                }
            }
        }
        Ok(())
    }

    /// One value that is no map.
    fn value(&mut self, value: &[u8], field: &'static Field, path: &Path<'_>, depth: usize) -> Result<(), Broken> {
        if let Some(inner) = field.inner {
            return self.message(value, inner, path, depth + 1);
        }
        if self.texts && value.len() > field.longest {
            // The decoder says what is wrong with text that is none.
            let seen = std::str::from_utf8(value).map_or(Seen::Bytes(value), Seen::Text);
            if let Some(text) = field.rules.iter().find_map(|rule| broken(seen, rule, field.words)) {
                return Err(bound(path, text));
            }
        }
        Ok(())
    }

    /// One pair of a map: a message of its key, 1, and its value, 2.
    fn entry(&mut self, entry: &[u8], field: &'static Field, path: &Path<'_>, depth: usize) -> Result<(), Broken> {
        let mut rest = Rest(entry);
        let mut parts = 0;
        while !rest.0.is_empty() {
            let (number, wire) = rest.key()?;
            let value = rest.value(wire)?;
            self.pass(1)?;
            parts += 1;
            if parts > MOST_FIELDS {
                return Err(bound(path, "must be one key and one value".to_owned()));
            }
            if let Some(inner) = field.inner.filter(|_| number == 2) {
                self.message(value, inner, path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts values against the total.
    fn pass(&mut self, values: usize) -> Result<(), Broken> {
        self.visited = self.visited.saturating_add(values);
        if self.visited > self.most {
            return Err(Broken::Total(format!("the message has more than {} values in all", self.most)));
        }
        Ok(())
    }
}

fn bound(path: &Path<'_>, description: String) -> Broken {
    Broken::Bound(Violation { field: path.to_string(), description })
}

/// How many there are in all is not known, since counting has ended.
fn too_many(field: &Field) -> String {
    let most = field.most;
    match field.many {
        Many::One => format!("must be sent once, not more than {most} times"),
        Many::List => format!("must have at most {most} items, and has more"),
        Many::Map => format!("must have at most {most} entries, and has more"),
    }
}

/// How many numbers a packed field holds.
fn unpacked(bytes: &[u8], wire: Wire) -> usize {
    match wire {
        // The last byte of a number is the one that does not say that another follows.
        Wire::Varint | Wire::Sized => bytes.iter().filter(|byte| **byte < 0x80).count(),
        Wire::Fixed64 => bytes.len() / 8,
        Wire::Fixed32 => bytes.len() / 4,
    }
}

/// What is left of a message.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for (at, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(Broken::Malformed("a number does not end".to_owned()))
    }

    /// The number of a field, and how its value is written.
    fn key(&mut self) -> Result<(u32, Wire), Broken> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0 && key <= u64::from(u32::MAX));
        let number = number.ok_or_else(|| Broken::Malformed(format!("{key} is no key of a field")))?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Sized,
            5 => Wire::Fixed32,
            // Groups, which proto3 has not: the decoder would follow them a hundred deep.
            other => {
                return Err(Broken::Malformed(format!("field {number} is of wire type {other}, which is not used")));
            }
        };
        Ok((number, wire))
    }

    fn value(&mut self, wire: Wire) -> Result<&'a [u8], Broken> {
        let length = match wire {
            Wire::Varint => {
                let before = self.0;
                self.varint()?;
                return Ok(before.get(..before.len() - self.0.len()).unwrap_or_default());
            }
            Wire::Fixed64 => 8,
            Wire::Fixed32 => 4,
            Wire::Sized => self.varint()?,
        };
        let parts = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (value, rest) = parts.ok_or_else(|| Broken::Malformed("the message ends within a field".to_owned()))?;
        self.0 = rest;
        Ok(value)
    }
}
