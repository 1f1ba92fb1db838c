//! The two walls between callers, and the means to take one down.
//!
//! The code asks for the rows that a caller may see, and Postgres shows no others ([`crate::store::wall`]). A test that
//! takes the first away sees that the second holds; one that takes both away sees that it would notice a leak.

/// Which walls stand: both. There is no way to say anything else in a release build.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walls {
    /// Permits show every row there is.
    #[cfg(debug_assertions)]
    pub without_code: bool,
    /// Transactions see every row there is.
    #[cfg(debug_assertions)]
    pub without_database: bool,
}

impl Walls {
    /// Whether permits show everything.
    pub(super) const fn code_is_down(self) -> bool {
        #[cfg(debug_assertions)]
        return self.without_code;
        #[cfg(not(debug_assertions))]
        return false;
    }

    /// Whether transactions see everything.
    pub(super) const fn database_is_down(self) -> bool {
        #[cfg(debug_assertions)]
        return self.without_database;
        #[cfg(not(debug_assertions))]
        return false;
    }
}
