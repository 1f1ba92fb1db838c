//! Topics, notifications and channels.

pub mod change;
pub mod channel;
pub mod delivery;
pub mod document;
pub mod filter;
pub mod header;
pub mod notification;
mod reader;
pub mod request;
pub mod status;
pub mod topic;
pub mod trigger;
