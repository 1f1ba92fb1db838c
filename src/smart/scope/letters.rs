//! The permissions of a resource scope.

use std::fmt;

/// One of the five permissions of SMART v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letter {
    /// `c`: type-level create.
    Create,
    /// `r`: read, vread, instance history.
    Read,
    /// `u`: update and patch.
    Update,
    /// `d`: delete.
    Delete,
    /// `s`: search, type history and system history.
    Search,
}

impl Letter {
    pub(super) const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    pub const fn as_char(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letters(pub(super) u8);

impl Letters {
    /// The letters of a permission suffix, and whether it is a v1 word.
    pub fn parse(suffix: &str) -> Option<(Self, bool)> {
        match suffix {
            "read" => return Some((Self::of(&[Letter::Read, Letter::Search]), true)),
            "write" => return Some((Self::of(&[Letter::Create, Letter::Update, Letter::Delete]), true)),
            "*" => return Some((Self::of(&Letter::ALL), true)),
            "" => return None,
            _ => {}
        }
        let mut known = Letter::ALL.into_iter();
        let mut letters = Self(0);
        for char in suffix.chars() {
            // `find` goes on from the last letter found, so a letter out of order or repeated is not found.
            letters.0 |= known.find(|letter| letter.as_char() == char)?.bit();
        }
        Some((letters, false))
    }

    pub fn of(letters: &[Letter]) -> Self {
        Self(letters.iter().fold(0, |bits, letter| bits | letter.bit()))
    }

    pub const fn has(self, letter: Letter) -> bool {
        self.0 & letter.bit() != 0
    }

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Letter::ALL
            .into_iter()
            .filter(|letter| self.has(*letter))
            .try_for_each(|letter| write!(f, "{}", letter.as_char()))
    }
}
