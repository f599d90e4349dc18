//! Things to do later, in the order of their time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

/// Things held back until their time has come. Equal times keep the order in which they came.
#[derive(Debug)]
pub(super) struct HeldAnswers<T> {
    heap: BinaryHeap<Reverse<Held<T>>>,
    serial: u64,
}

#[derive(Debug)]
struct Held<T> {
    due: Instant,
    serial: u64,
    thing: T,
}

impl<T> HeldAnswers<T> {
    pub fn new() -> HeldAnswers<T> {
        HeldAnswers { heap: BinaryHeap::new(), serial: 0 }
    }

    pub fn push(&mut self, due: Instant, thing: T) {
        self.serial += 1;
        self.heap.push(Reverse(Held { due, serial: self.serial, thing }));
    }

    /// The next thing whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        if self.heap.peek()?.0.due > now {
            return None;
        }
        self.heap.pop().map(|Reverse(held)| held.thing)
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Everything that is held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.heap.iter().map(|Reverse(held)| &held.thing)
    }

    /// Waits for the next time; for ever if nothing is held.
    pub async fn next(&self) {
        match self.heap.peek() {
            Some(Reverse(held)) => tokio::time::sleep_until(held.due).await,
            None => std::future::pending().await,
        }
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Held<T>) -> std::cmp::Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}
impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Held<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Held<T>) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<T> Eq for Held<T> {}
