//! Mutations of messages and files.

/// A pseudorandom sequence. `POSTERN_SEED` sets its start, so a failed run can be repeated.
pub struct Numbers(u64);

impl Numbers {
    pub fn new() -> Self {
        Self(std::env::var("POSTERN_SEED").map_or(0x9e37_79b9_7f4a_7c15, |seed| seed.parse::<u64>().unwrap().max(1)))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Changes a message in one to four places: bits, octets, counts, lengths, and pieces that are removed, repeated, or swapped.
pub fn mutate(message: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(3) {
        let (at, other) = (numbers.below(message.len()), numbers.below(message.len()));
        let (from, to) = (at.min(other), at.max(other));
        match numbers.below(9) {
            0 | 1 => message[at] ^= 1 << numbers.below(8),
            2 => message[at] = numbers.below(256) as u8,
            3 => message[at] = [0, 1, 0x3f, 0x40, 0xc0, 0xff][numbers.below(6)],
            4 => message[4 + numbers.below(8)] = numbers.below(4) as u8,
            5 => message.truncate(at.max(13)),
            6 => drop(message.drain(from..to.min(from + 30))),
            7 => {
                let piece = message[from..to.min(from + 60)].to_vec();
                message.splice(at..at, piece);
            }
            _ => message.swap(at, other),
        }
        message.resize(message.len().max(13), 0);
    }
}
