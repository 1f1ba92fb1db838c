//! Who the caller is, what is permitted, what is audited.
