//! Seeded random damage of texts, for tests that read thousands of damaged files.
//!
//! `HANDSCTL_TEST_ROUNDS=1000000 HANDSCTL_TEST_SEED=7 cargo test --lib damaged` runs more rounds with another seed.

/// The state of a generator without `HANDSCTL_TEST_SEED`.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// A generator of numbers that is the same in every run.
pub(crate) struct Xorshift(u64);

impl Xorshift {
    /// Begins at this state, which is not 0.
    pub(crate) const fn new(state: u64) -> Self {
        Self(state)
    }

    /// Begins at the state that `HANDSCTL_TEST_SEED` chooses.
    pub(crate) fn from_environment() -> Self {
        let seed = std::env::var("HANDSCTL_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
        Self(SEED ^ seed)
    }

    /// Returns a number below the limit; 0 if the limit is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// Returns the number of damaged texts that a test reads: `HANDSCTL_TEST_ROUNDS`, else the default.
pub(crate) fn rounds(default: usize) -> usize {
    std::env::var("HANDSCTL_TEST_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}

/// How a text is damaged.
pub(crate) struct Damage {
    /// What is inserted.
    pub(crate) pieces: &'static [&'static str],
    /// The largest number of changes.
    pub(crate) changes: usize,
    /// The part of a change has fewer characters than this.
    pub(crate) part: usize,
}

impl Damage {
    /// Cuts, inserts, replaces and copies parts of a text.
    pub(crate) fn damaged(&self, text: &str, random: &mut Xorshift) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=random.below(self.changes) {
            let at = random.below(characters.len() + 1);
            let to = (at + random.below(self.part)).min(characters.len());
            match random.below(4) {
                0 => drop(characters.drain(at..to)),
                1 => drop(characters.splice(at..at, self.piece(random).chars())),
                2 => drop(characters.splice(at..to, self.piece(random).chars())),
                _ => {
                    let copy: Vec<char> = characters[at..to].to_vec();
                    let target = random.below(characters.len() + 1);
                    drop(characters.splice(target..target, copy));
                }
            }
        }
        characters.into_iter().collect()
    }

    fn piece(&self, random: &mut Xorshift) -> &'static str {
        self.pieces[random.below(self.pieces.len())]
    }
}
