//! Topics, notifications and channels.

pub mod change;
