//! A place for a value that goes out for an operation and comes back with its completion.

use std::fmt;

/// Holds a lease while no operation has it. Taking it twice, or putting it back twice, means that
/// two operations were ordered over the same memory: an invariant of the worker's logic is broken.
pub struct Held<T> {
    value: Option<T>,
    what: &'static str,
}

impl<T> Held<T> {
    /// A place that holds `value`; `what` names it in a broken invariant.
    pub fn new(what: &'static str, value: T) -> Held<T> {
        Held { value: Some(value), what }
    }

    /// Takes the value out.
    ///
    /// # Panics
    /// If an operation has it.
    pub fn take(&mut self) -> T {
        match self.value.take() {
            Some(value) => value,
            None => panic!("{} is in use by another operation", self.what),
        }
    }

    /// Puts the value back.
    ///
    /// # Panics
    /// If it is here already.
    pub fn put(&mut self, value: T) {
        assert!(self.value.is_none(), "{} was put back twice", self.what);
        self.value = Some(value);
    }

    /// The value, if no operation has it.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, if self.value.is_some() { "here" } else { "out" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "slot input is in use by another operation")]
    fn a_value_goes_out_once() {
        let mut held = Held::new("slot input", 1);
        assert_eq!(held.take(), 1);
        held.take();
    }

    #[test]
    #[should_panic(expected = "slot input was put back twice")]
    fn a_value_comes_back_once() {
        Held::new("slot input", 1).put(2);
    }
}
