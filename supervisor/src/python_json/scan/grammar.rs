//! How values nest: the one loop that walks through a whole text and finds the end of its value.
//!
//! It follows `_parse_object_unicode` and `_parse_array_unicode` of CPython 3.11's
//! `Modules/_json.c`, also in the order of checks, which decides which error is reported. The
//! functions of CPython recurse; this loop does not.

use super::token::{scalar_end, skip_space, string_end};
use super::{JsonError, NESTING_MAX};

/// The end of the value that begins at `start`.
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

/// What the loop expects at an offset.
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

    /// The start of an item. In an object, a key and a colon come before the value.
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

/// The open containers, the outermost first. They are a stack of bits, so its bound takes 128 bytes
/// and no allocation.
#[derive(Default)]
struct Containers {
    depth: usize,
    is_object: [u64; NESTING_MAX.div_ceil(64)],
}

impl Containers {
    /// Opens a container. If [`NESTING_MAX`] containers are open already, does nothing and returns
    /// false.
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
