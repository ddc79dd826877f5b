//! How values nest: the one loop that walks a whole text and says where its value ends.
//!
//! It follows `_parse_object_unicode` and `_parse_array_unicode` of CPython 3.11's
//! `Modules/_json.c`, order of checks included, since that decides which error is reported. Those
//! recurse; this never does.

use super::token::{scalar_end, skip_space, string_end};
use super::{JsonError, NESTING_MAX};

/// Where the value that starts at `start` ends.
pub(super) fn value_end(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut walk = Walk {
        bytes,
        open: Containers::default(),
    };
    let mut next = Step::Value(start);
    loop {
        next = match next {
            Step::Value(at) => walk.value_at(at)?,
            Step::Ended(at) => match walk.open.innermost() {
                Some(container) => walk.after_value(container, at)?,
                None => return Ok(at),
            },
        };
    }
}

/// What follows at an offset.
enum Step {
    /// A value must start here.
    Value(usize),
    /// A value has ended here.
    Ended(usize),
}

struct Walk<'a> {
    bytes: &'a [u8],
    open: Containers,
}

impl Walk<'_> {
    fn value_at(&mut self, at: usize) -> Result<Step, JsonError> {
        let container = match self.bytes.get(at) {
            Some(b'{') => Container::Object,
            Some(b'[') => Container::Array,
            _ => return scalar_end(self.bytes, at).map(Step::Ended),
        };
        if !self.open.push(container) {
            return Err(JsonError::too_deep(self.bytes, at));
        }
        let inside = skip_space(self.bytes, at + 1);
        if self.bytes.get(inside) == Some(&container.closing()) {
            self.open.pop();
            return Ok(Step::Ended(inside + 1));
        }
        self.item_at(container, inside)
    }

    fn after_value(&mut self, container: Container, at: usize) -> Result<Step, JsonError> {
        let at = skip_space(self.bytes, at);
        match self.bytes.get(at) {
            Some(b',') => self.item_at(container, skip_space(self.bytes, at + 1)),
            Some(&byte) if byte == container.closing() => {
                self.open.pop();
                Ok(Step::Ended(at + 1))
            }
            _ => Err(JsonError::syntax(self.bytes, at, "Expecting ',' delimiter")),
        }
    }

    /// The start of an item: in an object a key and a colon come before the value.
    fn item_at(&self, container: Container, at: usize) -> Result<Step, JsonError> {
        if container == Container::Array {
            return Ok(Step::Value(at));
        }
        if self.bytes.get(at) != Some(&b'"') {
            return Err(JsonError::syntax(
                self.bytes,
                at,
                "Expecting property name enclosed in double quotes",
            ));
        }
        let colon = skip_space(self.bytes, string_end(self.bytes, at)?);
        if self.bytes.get(colon) != Some(&b':') {
            return Err(JsonError::syntax(
                self.bytes,
                colon,
                "Expecting ':' delimiter",
            ));
        }
        Ok(Step::Value(skip_space(self.bytes, colon + 1)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

impl Container {
    fn closing(self) -> u8 {
        match self {
            Self::Object => b'}',
            Self::Array => b']',
        }
    }
}

/// The containers that are open, outermost first: a stack of bits, so that its bound costs 128
/// bytes and no allocation.
#[derive(Default)]
struct Containers {
    depth: usize,
    is_object: [u64; NESTING_MAX.div_ceil(64)],
}

impl Containers {
    /// False, and nothing done, if [`NESTING_MAX`] of them are open already.
    fn push(&mut self, container: Container) -> bool {
        if self.depth == NESTING_MAX {
            return false;
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        match container {
            Container::Object => self.is_object[word] |= bit,
            Container::Array => self.is_object[word] &= !bit,
        }
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn innermost(&self) -> Option<Container> {
        let index = self.depth.checked_sub(1)?;
        let is_object = self.is_object[index / 64] >> (index % 64) & 1 == 1;
        Some(if is_object {
            Container::Object
        } else {
            Container::Array
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_container_closes() {
        assert_eq!(value_end(br#"{"a": [{}, []]} tail"#, 0).unwrap(), 15);
    }

    #[test]
    fn containers_are_closed_by_their_own_bracket_only() {
        for text in ["[}", "{]", "[1}", "{\"a\":1]", "[{\"a\":[1}]"] {
            assert!(value_end(text.as_bytes(), 0).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_open_is_remembered_across_words_of_bits() {
        let mut open = Containers::default();
        let nth = |n: usize| {
            if n.is_multiple_of(3) {
                Container::Object
            } else {
                Container::Array
            }
        };
        for n in 0..NESTING_MAX {
            assert!(open.push(nth(n)));
        }
        assert!(!open.push(Container::Array));
        for n in (0..NESTING_MAX).rev() {
            assert!(open.innermost() == Some(nth(n)));
            open.pop();
        }
        assert!(open.innermost().is_none());
    }
}
