//! `$set-context`, `$clear-context` and expiry.
