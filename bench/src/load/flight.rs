//! Pending queries of one source port. Time is passed in as nanoseconds since the start of the run.

use crate::questions::DrawnQuestion;

/// A query that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentQuery {
    /// Question of the query.
    pub question: DrawnQuestion,
    /// Scheduled time. Latency is measured from here.
    pub scheduled: u64,
    /// Time at which the query was sent.
    pub sent: u64,
}

/// Relation of a response to the pending queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMatch {
    /// The answer to a pending query.
    Answer(SentQuery),
    /// The answer to a query that had already timed out.
    Late(SentQuery),
    /// A second answer to the same query.
    Duplicate,
    /// A response to no query, or to one that was forgotten long ago.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Waiting,
    GivenUp,
    Answered,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    sent: SentQuery,
    serial: u64,
    state: State,
}

/// The pending queries of one source port, indexed by message ID.
///
/// IDs are used cyclically, so that an ID is reused as late as possible and a late answer can be
/// recognized.
#[derive(Debug)]
pub struct PendingQueries {
    slots: Box<[Slot]>,
    next: u64,
    oldest: u64,
    waiting: usize,
}

impl PendingQueries {
    /// Creates space for at least `most` pending queries, up to the 65,536 IDs. The first ID is
    /// `first`.
    pub fn new(most: usize, first: u16) -> Self {
        let size = most.saturating_mul(2).next_power_of_two().clamp(64, 65_536);
        let none = SentQuery { question: DrawnQuestion { item: 0, serial: 0 }, scheduled: 0, sent: 0 };
        let first = u64::from(first) + 65_536;
        Self { slots: vec![Slot { sent: none, serial: 0, state: State::Free }; size].into(), next: first, oldest: first, waiting: 0 }
    }

    /// Returns the number of pending queries.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the maximum number of pending queries.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Registers a query and returns its ID. Returns `None` if every ID is pending.
    pub fn launch(&mut self, sent: SentQuery) -> Option<u16> {
        if self.waiting == self.slots.len() {
            return None;
        }
        loop {
            let serial = self.next;
            self.next += 1;
            let index = self.index(serial);
            let slot = &mut self.slots[index];
            if slot.state != State::Waiting {
                *slot = Slot { sent, serial, state: State::Waiting };
                self.waiting += 1;
                return Some(serial as u16);
            }
        }
    }

    /// Unregisters a query that was not sent after all.
    pub fn withdraw(&mut self, id: u16) {
        let index = self.index(u64::from(id));
        let slot = &mut self.slots[index];
        if slot.state == State::Waiting && slot.serial as u16 == id {
            slot.state = State::Free;
            self.waiting -= 1;
        }
    }

    /// Returns the question of this ID if its query is pending or has timed out.
    pub fn asked(&self, id: u16) -> Option<DrawnQuestion> {
        let slot = &self.slots[self.index(u64::from(id))];
        (slot.serial as u16 == id && slot.state != State::Free).then_some(slot.sent.question)
    }

    /// Registers the response with this ID.
    pub fn arrive(&mut self, id: u16) -> ResponseMatch {
        let index = self.index(u64::from(id));
        let slot = &mut self.slots[index];
        if slot.serial as u16 != id {
            return ResponseMatch::Unknown;
        }
        let arrival = match slot.state {
            State::Waiting => {
                self.waiting -= 1;
                ResponseMatch::Answer(slot.sent)
            }
            State::GivenUp => ResponseMatch::Late(slot.sent),
            State::Answered => return ResponseMatch::Duplicate,
            State::Free => return ResponseMatch::Unknown,
        };
        slot.state = State::Answered;
        arrival
    }

    /// Times out all queries sent at or before `limit`, and passes each to `each`.
    pub fn give_up(&mut self, limit: u64, mut each: impl FnMut(SentQuery)) {
        while self.oldest < self.next {
            let index = self.index(self.oldest);
            let slot = &mut self.slots[index];
            if slot.serial == self.oldest && slot.state == State::Waiting {
                if slot.sent.sent > limit {
                    return;
                }
                slot.state = State::GivenUp;
                self.waiting -= 1;
                each(slot.sent);
            }
            self.oldest += 1;
        }
    }

    fn index(&self, serial: u64) -> usize {
        serial as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u64) -> SentQuery {
        SentQuery { question: DrawnQuestion { item: time as u32, serial: 0 }, scheduled: time, sent: time }
    }

    #[test]
    fn an_answer_is_taken_once() {
        let mut flight = PendingQueries::new(10, 65_535);
        let one = flight.launch(at(1)).unwrap();
        let two = flight.launch(at(2)).unwrap();
        assert_eq!((one, two), (65_535, 0), "IDs go round");
        assert_eq!(flight.arrive(two), ResponseMatch::Answer(at(2)));
        assert_eq!(flight.arrive(two), ResponseMatch::Duplicate);
        assert_eq!(flight.arrive(77), ResponseMatch::Unknown);
        assert_eq!(flight.waiting(), 1);
    }

    #[test]
    fn what_was_given_up_is_late_when_it_comes() {
        let mut flight = PendingQueries::new(10, 0);
        let ids: Vec<u16> = (1..=5).map(|time| flight.launch(at(time)).unwrap()).collect();
        assert_eq!(flight.arrive(ids[1]), ResponseMatch::Answer(at(2)));
        let mut given_up = Vec::new();
        flight.give_up(3, |sent| given_up.push(sent.sent));
        assert_eq!(given_up, [1, 3]);
        assert_eq!(flight.arrive(ids[0]), ResponseMatch::Late(at(1)));
        assert_eq!(flight.arrive(ids[0]), ResponseMatch::Duplicate);
        assert_eq!(flight.waiting(), 2);
    }

    #[test]
    fn a_query_that_is_still_waiting_keeps_its_id_while_others_go_round() {
        let mut flight = PendingQueries::new(8, 0);
        let lost = flight.launch(at(0)).unwrap();
        for time in 1..200_000 {
            let id = flight.launch(at(time)).unwrap();
            assert_ne!(id, lost);
            assert_eq!(flight.arrive(id), ResponseMatch::Answer(at(time)));
        }
        let mut given_up = Vec::new();
        flight.give_up(200_000, |sent| given_up.push(sent.sent));
        assert_eq!(given_up, [0]);
        assert_eq!(flight.waiting(), 0);
    }

    #[test]
    fn a_full_flight_launches_nothing_and_a_withdrawn_query_was_never_sent() {
        let mut flight = PendingQueries::new(32, 0);
        let ids: Vec<u16> = (0..64).map(|time| flight.launch(at(time)).unwrap()).collect();
        assert_eq!(flight.launch(at(64)), None);
        flight.withdraw(ids[63]);
        assert_eq!(flight.waiting(), 63);
        assert_eq!(flight.arrive(ids[63]), ResponseMatch::Unknown);
        assert!(flight.launch(at(65)).is_some());
    }
}
