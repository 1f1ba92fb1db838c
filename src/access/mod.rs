//! Who the caller is, what is permitted, what is audited.

pub mod audit;
pub mod caller;
pub mod permit;
pub mod rules;
pub mod walls;

pub use caller::{Caller, LaunchContext};
pub use permit::{Act, Denied, Permit, authorize};
pub use rules::Rules;
pub use walls::Walls;
